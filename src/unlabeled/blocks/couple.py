"""Pairs of parts of texts of which half follow each other, for methods and for measuring them."""

import torch
from torch import Tensor

from unlabeled.modalities import Modality
from unlabeled.modalities.text import as_text
from unlabeled.views import words


def couple(
    raw: Tensor, modality: Modality, *, true: bool = False, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pairs (B, T) of two parts, and whether the second follows the first (B,) int64: its own (always where `true`, and
    where `among` (B, B) bool allows an item no other) or that of another item.
    """
    own = as_text(modality)
    ids = own.plain(raw)
    at = words.cuts(ids, own.ends(ids.device))
    u = own.uniforms(len(ids), 2, ids.device)
    follows = (u[:, 0] < (1.1 if true or len(ids) < 2 else 0.5)).long()
    away = 1 + (u[:, 1] * (len(ids) - 1)).long()  # never the item itself
    item = torch.arange(len(ids), device=ids.device)
    other = (away + item) % len(ids)
    if among is not None:
        count = among.sum(1)
        follows = torch.where(count > 0, follows, 1)
        other = (among.cumsum(1) > (u[:, 1] * count).long()[:, None]).long().argmax(1)
    other = torch.where(follows > 0, item, other)
    return words.pairs(ids, ids[other], at, at[other], own.sep), follows
