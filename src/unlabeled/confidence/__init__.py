"""How far can a prediction be trusted? Each file is one idea, on arrays of logits or probabilities.

Whatever is fitted here is fitted on labelled items that neither the encoder's fine-tuning nor the head has learnt
from; those labels count as labels.
"""
