"""Does a map change when the encoder's weights are thrown away? If not, it shows the item and not what was learnt.

Adebayo et al. (2018, arXiv:1810.03292): the map is drawn anew from an encoder with random weights, and compared. All
weights are drawn at once, and the question is put to the random features as it was to the learnt ones.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata
from torch import Tensor

from unlabeled.explain._places import pooled

SAME = 0.5  # a rank correlation from which on a map is called the same


def likeness(a: Tensor, b: Tensor, there: Tensor | None = None) -> np.ndarray:
    """Spearman's rank correlation (B,) of maps (B, ...) and others of the same items, in blocks; 0 for flat ones.

    Blocks of which no place is there (B, T), as behind the end of a text, do not count.

    >>> import torch
    >>> likeness(torch.arange(8.0)[None], 2 * torch.arange(8.0)[None]).round(3).tolist()
    [1.0]
    """
    out = []
    counts = np.ones(_blocks(a).shape, bool) if there is None else _blocks(there.float()) > 0
    for first, second, some in zip(_blocks(a), _blocks(b), counts, strict=True):
        x, y = (rankdata(v[some]) - (some.sum() + 1) / 2 for v in (first, second))
        size = float(np.sqrt((x @ x) * (y @ y)))
        out.append(float(x @ y) / size if size > 0 else 0.0)
    return np.array(out)


def changed(own: Tensor, drawn: Sequence[Tensor], there: Tensor | None = None) -> np.ndarray:
    """Mean likeness (B,) of maps (B, ...) to those of encoders with random weights."""
    return np.asarray(np.mean([likeness(own, other, there) for other in drawn], 0))


def words(name: str, correlation: float) -> str:
    """What a likeness to the maps of random weights says, in a sentence.

    >>> words("occlusion", 0.81)
    'occlusion fails: its map stays much the same under random weights (rank correlation 0.81), so it shows the item \
and not what was learnt.'
    """
    told = f"rank correlation {correlation:.2f}".replace("-", "−")
    if correlation >= SAME:
        return (
            f"{name} fails: its map stays much the same under random weights ({told}), so it shows the item and not "
            "what was learnt."
        )
    return f"{name} passes: its map is another one under random weights ({told})."


def _blocks(maps: Tensor) -> np.ndarray:
    return np.asarray(pooled(maps).flatten(1).numpy())
