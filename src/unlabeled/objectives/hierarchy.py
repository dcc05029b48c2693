"""Contrast each moment with other moments and with other items, at every scale (TS2Vec: Yue et al. 2021,
arXiv:2106.10466, equations 1 to 3).
"""

import torch
from torch import Tensor

from unlabeled.errors import UserError

NEVER = -1e9  # a logit that no softmax sees and that, unlike infinity, leaves rows without any candidate finite


def hierarchy(
    a: Tensor, b: Tensor, known: Tensor | None = None, *, instance: float = 0.5, temporal_from: int = 0
) -> Tensor:
    """Both contrasts of two views of the same moments, then again after pooling two moments to one, down to one.

    Against other moments: a moment of one view must find itself in the other, among all moments of its item in both.
    Against other items: it must find itself among the same moment of all items in both. Similarities are dot products,
    the batch is this process's own.

    Args:
        a: (B, T, D) the moments in one view.
        b: (B, T, D) the same moments in the other.
        known: (B, T) bool, which are inside the recordings; the others are left out.
        instance: share of the contrast with other items, 0 to 1; the rest is that with other moments.
        temporal_from: scale from which on moments are contrasted with each other; 0 is the finest.

    Returns:
        Scalar, the mean over the scales.

    Raises:
        UserError: when the two are not of one shape, or hold nothing to contrast.

    >>> x = torch.zeros(3, 1, 2)
    >>> round(hierarchy(x, x).item(), 4)  # one scale: half of log 5, for one of five others is the item itself
    0.8047
    """
    if a.shape != b.shape or a.ndim != 3:
        raise UserError(f"two views of shapes {tuple(a.shape)} and {tuple(b.shape)}", "give the same (B, T, D) twice")
    if a.shape[0] * a.shape[1] < 2:
        raise UserError("one moment of one item has nothing to be contrasted with", "give two items or more")
    with torch.autocast(a.device.type, enabled=False):
        both = torch.stack([a.float(), b.float()])  # (2, B, T, D)
        there = None if known is None or bool(known.all()) else known
        total, scales = both.new_zeros(()), 0
        while True:
            count = both.shape[2]
            if instance > 0 and both.shape[1] > 1:
                marks = None if there is None else there.T
                total = total + instance * contrast(both.transpose(1, 2), marks)
            if instance < 1 and count > 1 and scales >= temporal_from:
                total = total + (1 - instance) * contrast(both, there)
            scales += 1
            if count == 1:
                return total / scales
            both, there = _pooled(both, there)


def contrast(both: Tensor, there: Tensor | None) -> Tensor:
    """Mean cross-entropy of finding, among all 2 N vectors of a group but itself, the partner in the other view.

    Args:
        both: (2, G, N, D), the two views.
        there: (G, N) bool, which count; None for all.
    """
    x = both.transpose(0, 1).flatten(1, 2)  # (G, 2 N, D)
    logits = x @ x.transpose(1, 2)
    same = torch.eye(logits.shape[1], dtype=torch.bool, device=x.device)
    partner = (both[0] * both[1]).sum(2)  # (G, N)
    if there is None:
        return logits.masked_fill(same, NEVER).logsumexp(2).mean() - partner.mean()
    twice = torch.cat([there, there], 1)
    spread = logits.masked_fill(same | ~twice[:, None], NEVER).logsumexp(2)
    return ((spread - torch.cat([partner, partner], 1)) * twice).sum() / twice.sum().clamp(min=1)


def _pooled(both: Tensor, there: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The larger of each two moments; an odd one at the end falls away, as in the authors' code."""
    if there is not None:
        both = both.masked_fill(~there[..., None], NEVER)
    half = both.shape[2] // 2
    out = both[:, :, : 2 * half].reshape(*both.shape[:2], half, 2, -1).amax(3)
    if there is None:
        return out, None
    left = there[:, : 2 * half].reshape(-1, half, 2).any(2)
    return out.masked_fill(~left[..., None], 0.0), left
