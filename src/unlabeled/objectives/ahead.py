"""Find among the batch what comes next: the contrastive loss of CPC (van den Oord et al. 2018, arXiv:1807.03748) and of
TS-TCC's temporal half (Eldele et al. 2021, arXiv:2106.14112, equation 1).
"""

import torch
from torch import Tensor
from torch.nn import functional

from unlabeled.errors import UserError

NEVER = -1e9  # a logit that no softmax sees and that, unlike infinity, leaves rows without any candidate finite


def ahead(guess: Tensor, found: Tensor, known: Tensor | None = None, *, moments: bool = False) -> Tensor:
    """Cross-entropy of telling, by dot products, which item of the batch each guess is about.

    The candidates of a guess are what was found k steps ahead in each item of the batch, its own among them, and where
    `moments` are candidates, what was found at the item's own other steps. The batch is this process's own.

    Args:
        guess: (K, B, D) what is expected k steps ahead, for each item.
        found: (K, B, D) what is there.
        known: (K, B) bool, whether there is anything; guesses and candidates without are left out.
        moments: whether the item's other moments are wrong answers too: what all of it shares, such as who speaks, then
            does not help.

    Returns:
        Scalar, the mean over the guesses that count, the logarithm of the candidates where they know nothing.

    Raises:
        UserError: for one item alone.

    >>> round(ahead(torch.zeros(1, 4, 2), torch.ones(1, 4, 2)).item(), 4)  # log 4
    1.3863
    """
    if guess.shape[1] < 2:
        raise UserError("what comes next is told from other items, and the batch holds one item", "give two or more")
    with torch.autocast(guess.device.type, enabled=False):
        logits = guess.float() @ found.float().transpose(1, 2)  # (K, B, B)
        others = torch.einsum("kbd,jbd->kbj", guess.float(), found.float()) if moments else logits[..., :0]
    own = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    if moments:
        same = torch.eye(len(guess), dtype=torch.bool, device=guess.device)[:, None]
        others = others.masked_fill(same if known is None else same | ~known.T, NEVER)
    if known is None:
        return functional.cross_entropy(torch.cat([logits, others], 2).transpose(1, 2), own)
    logits = torch.cat([logits.masked_fill(~known[:, None], NEVER), others], 2)
    each = functional.cross_entropy(logits.transpose(1, 2), own, reduction="none")
    return (each * known).sum() / known.sum().clamp(min=1)
