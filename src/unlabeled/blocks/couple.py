"""Pairs of parts of texts of which half follow each other, for methods and for measuring them."""

import torch
from torch import Tensor

from unlabeled.modalities import Modality
from unlabeled.modalities.text import as_text
from unlabeled.views import words

SPARED = 4  # tokens at most by which second parts are shorter still, so that none ends as its text does


def couple(
    raw: Tensor, modality: Modality, *, true: bool = False, among: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Pairs (B, T) of two parts, and whether the second follows the first (B,) int64: its own (always where `true`, and
    where `among` (B, B) bool allows an item no other) or that of another item.

    Parts that follow and parts that do not are of the same lengths: each second part is cut to the shorter of both that
    it might have been, and by some tokens more. Else the two lengths, which add up to that of an item where its parts
    follow, would tell much of the answer.
    """
    own = as_text(modality)
    ids = own.plain(raw)
    at = words.cuts(ids, own.ends(ids.device))
    u = own.uniforms(len(ids), 3, ids.device)
    item = torch.arange(len(ids), device=ids.device)
    if true:
        return words.pairs(ids, ids, at, at, own.sep), torch.ones_like(item)
    follows = (u[:, 0] < (1.1 if len(ids) < 2 else 0.5)).long()
    away = 1 + (u[:, 1] * (len(ids) - 1)).long()  # never the item itself
    other = (away + item) % len(ids)
    if among is not None:
        count = among.sum(1)
        follows = torch.where(count > 0, follows, 1)
        other = (among.cumsum(1) > (u[:, 1] * count).long()[:, None]).long().argmax(1)
    rest = words.lengths(ids) - 1 - at
    most = torch.minimum(rest, rest[other]) - 1 - (u[:, 2] * SPARED).long()
    second = torch.where(follows > 0, item, other)
    return words.pairs(ids, ids[second], at, at[second], own.sep, most), follows
