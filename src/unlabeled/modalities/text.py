"""Texts as rows of token numbers: two looks at one text differ by the encoder's dropout (Gao et al. 2021, SimCSE,
arXiv:2104.08821), so methods written for two views run on them.

A raw item holds token numbers from its beginning to its end, then 0. A view is the same (B, T) int64; in a view of two
parts the numbers of the second are `views.words.SEGMENT` higher.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from unlabeled.data.tokens import CLS as BEGIN
from unlabeled.data.tokens import MASK, PAD, SEP, opened, shares, spelled
from unlabeled.errors import UserError
from unlabeled.modalities import Modality, check_corruption
from unlabeled.settings import Augmentation
from unlabeled.views import draw, drawing, slips, words

USUAL = {"crop": 1.0, "jitter": 0.0, "noise": 0.0, "cutout": 0.0}  # where the user says nothing: dropout alone
SMALL = (0.25, 0.5)  # shares of a text that a small view keeps
COMMON = 1e-3  # share of the tokens at which one weighs half
ENDS = (".", "!", "?", ":", ";", *"。！？．｡।؟…")


class Text(Modality):
    """Texts of one tokenizer.

    Args:
        size: tokens of a view, the first and the last of which mark beginning and end.
        channels: of the raw items, 1.
        mean: not used.
        std: not used.
        augmentation: `crop` below 1 lets strong views show a random part of at least that share, `cutout` leaves out
            up to that share of the tokens; both are off unless given.
        plain_size: not used: the plain view is the whole item.
        tokenizer: its JSON.
        special: its numbers for padding, beginning, end and mask, -1 where there is none.
        rarity: how rare each token is, as `data.tokens.rarity` writes it; "" where it is not known.

    Raises:
        UserError: for a size below 4.
    """

    name: ClassVar[str] = "text"
    space = 0

    def __init__(
        self,
        *,
        size: int = 64,
        channels: int = 1,
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
        augmentation: Augmentation = Augmentation(),
        plain_size: int = 0,
        tokenizer: str = "",
        special: tuple[int, ...] = (PAD, BEGIN, SEP, MASK),
        rarity: str = "",
    ) -> None:
        if size < 4 or channels != 1:
            raise UserError(f"texts of {size} tokens were asked for", "give 4 or more")
        self.size, self.augmentation, self.tokenizer, self._rarity = size, augmentation, tokenizer, rarity
        self.channels = opened(tokenizer).get_vocab_size() if tokenizer else 260  # what a place can hold
        self.pad, self.begin, self.sep, self.mask = special
        self.nothing = max(0, self.mask)
        known = augmentation.known(USUAL)
        self.crop, self.cutout = known["crop"], known["cutout"]
        self._source = draw.generator(0, 0, 0)

    @classmethod
    def fitting(cls, prep: Mapping[str, Any], settings: Mapping[str, Any]) -> Self:
        """The modality for items that were prepared so, with its other settings."""
        known = {"tokenizer": prep["tokenizer"], "special": tuple(prep["special"]), "rarity": prep.get("rarity", "")}
        return cls(**known, **settings)

    def rarity(self) -> Tensor:
        """What each token weighs (channels,), 0 to 1: next to nothing where it is common, and nothing if it is special
        (smooth inverse frequency: Arora et al. 2017); 1 where it is not known how common tokens are.
        """
        share = torch.from_numpy(shares(self._rarity)) if self._rarity else torch.zeros(self.channels)
        out = (COMMON / (COMMON + share)).float()
        out[[n for n in {self.pad, self.begin, self.sep, self.mask} if 0 <= n < len(out)]] = 0.0
        return out

    def plain(self, raw: Tensor) -> Tensor:
        """The one deterministic view (B, T), int64: the whole item."""
        if raw.ndim != 3 or raw.shape[1] != 1:
            raise UserError(f"a raw batch of shape {tuple(raw.shape)} was given", "give (items, 1, tokens)")
        return raw[:, 0].to(torch.int64)

    def augment(self, raw: Tensor, strength: Literal["strong", "mild", "small"] = "strong") -> Tensor:
        """A view (B, T) of each item, int64: the item itself, which the encoder's dropout makes two of; or a random
        part of it and tokens left out, where the settings say so. `small` shows a quarter to a half of it.

        >>> raw = torch.tensor([[[2, 9, 8, 7, 3, 0]]], dtype=torch.int32)
        >>> Text(size=6).at(0, 0).augment(raw).tolist()
        [[2, 9, 8, 7, 3, 0]]
        """
        ids, items = self.plain(raw), len(raw)
        low, high = SMALL if strength == "small" else (self.crop, 1.0)
        cut = self.cutout if strength == "strong" else 0.0
        if strength == "mild" or (low >= 1 and cut <= 0):
            return ids
        u = draw.uniforms(self._source, items, 3 + ids.shape[1]).to(ids.device)
        room = (words.lengths(ids) - 2).clamp(min=1)[:, None]  # without the two ends
        place = torch.arange(ids.shape[1], device=ids.device) - 1
        kept = (draw.between(u[:, :1], low, high) * room).ceil()
        first = (u[:, 1:2] * (room - kept + 1)).floor()
        inner = (place >= 0) & (place < room)
        gone = inner & ((place < first) | (place >= first + kept) | (u[:, 3:] < cut * u[:, 2:3]))
        whole = (gone == inner).all(1, keepdim=True)  # never nothing
        return words.without(ids, gone & ~whole)

    def changes(self) -> frozenset[str]:
        """What a strong view changes beside its place and size."""
        return frozenset(("cutout",)) if self.cutout > 0 else frozenset()

    def restyled(self, view: Tensor, amounts: Mapping[str, Tensor]) -> Tensor:
        """Refused: no change of a text is known to leave all of its meaning as it was."""
        raise UserError("texts have no style that could be changed alone", "take another method, or the linear probe")

    def interventions(self) -> tuple[str, ...]:
        """None."""
        return ()

    def corrupt(self, raw: Tensor, kind: str, severity: int) -> Tensor:
        """Raw items (B, 1, T) as a worse keyboard would give them, severity 1 to 5: as text, and read again.

        Raises:
            UserError: for another kind or severity.
        """
        check_corruption(kind, slips.KINDS, severity)
        seeds = draw.seeds(self._source, len(raw))
        worse = [slips.corrupt(t, kind, severity, s) for t, s in zip(self.texts(self.plain(raw)), seeds, strict=True)]
        return self.ids(worse, raw.shape[2])[:, None].to(raw.dtype).to(raw.device)

    def corruptions(self) -> list[str]:
        """The kinds that `corrupt` knows."""
        return list(slips.KINDS)

    def texts(self, view: Tensor) -> list[str]:
        """What views (B, T) say."""
        rows = (view % words.SEGMENT).cpu()
        out: list[str] = opened(self.tokenizer).decode_batch(
            [row[: int(n)].tolist() for row, n in zip(rows, words.lengths(rows), strict=True)], skip_special_tokens=True
        )
        return [text.strip() for text in out]

    def drawn(self, view: Tensor) -> Tensor:
        """Views (B, T) up to the first token that ends a text, 0 behind it: what comes there was never learnt.

        >>> Text(size=6).drawn(torch.tensor([[1, 9, 8, 2, 7, 6]])).tolist()
        [[1, 9, 8, 0, 0, 0]]
        """
        ended = (view[:, 1:] == self.sep).cumsum(1) > 0
        return torch.cat([view[:, :1], view[:, 1:].masked_fill(ended, 0)], 1)

    def pieces(self, view: Tensor) -> list[list[str]]:
        """What each token of views (B, T) says, up to the items' ends; "" for those that say nothing."""
        rows, read = (view % words.SEGMENT).cpu(), opened(self.tokenizer)
        return [
            [read.decode([int(token)], skip_special_tokens=True) for token in row[: int(n)]]
            for row, n in zip(rows, words.lengths(rows), strict=True)
        ]

    def ids(self, texts: Sequence[str], size: int = 0) -> Tensor:
        """Views (B, size) of texts; what is longer is cut off."""
        size = size or self.size
        out = torch.zeros(len(texts), size, dtype=torch.int64)
        found = opened(self.tokenizer).encode_batch(list(texts), add_special_tokens=False)
        for row, one in zip(out, found, strict=True):
            inner = [self.begin, *one.ids[: size - 2], self.sep]
            row[: len(inner)] = torch.tensor(inner)
        return out

    def free(self, view: Tensor) -> Tensor:
        """Which places of a view (B, T) hold a word and not a mark of beginning, end or filling."""
        ids = view % words.SEGMENT
        marks = torch.tensor((0, self.pad, self.begin, self.sep, self.mask), device=view.device)
        return ~torch.isin(ids, marks)

    def ends(self, device: Any = "cpu") -> Tensor:
        """Which tokens end a sentence (V,) bool."""
        own, ends = opened(self.tokenizer), (*ENDS, *map(spelled, ENDS))
        found = [(own.id_to_token(i) or "").endswith(ends) for i in range(self.channels)]
        return torch.tensor(found, device=device)

    def noisy(self, view: Tensor, std: float) -> Tensor:
        """A view in which a share `std` of the words, 0 to 1, is another one."""
        other = torch.randint_like(view, 4, max(5, self.channels))
        return torch.where(self.free(view) & (torch.rand(view.shape, device=view.device) < std), other, view)

    def patches(self, view: Tensor, size: int) -> Tensor:
        """Refused: numbers of words have no mean, so nothing can be painted."""
        raise UserError("texts cannot be cut into patches of values", "take mlm, which hides words")

    def unpatch(self, patches: Tensor, size: int) -> Tensor:
        """Refused, as `patches`."""
        return self.patches(patches, size)

    def normalise(self, x: Tensor) -> Tensor:
        """Views as they are."""
        return x

    def natural(self, view: Tensor) -> Tensor:
        """Views as they are."""
        return view

    def show(self, view: Tensor) -> np.ndarray:
        """Views as a person can read them: the beginning of each, drawn (B, 160, 160, 3) uint8."""
        return drawing.lines(self.texts(view))


def as_text(modality: Modality) -> Text:
    """The modality, known to be that of texts; for methods that hide or foretell words."""
    if not isinstance(modality, Text):
        raise TypeError(f"words are asked of {modality.name}")
    return modality


def hide(view: Tensor, modality: Modality, share: float) -> tuple[Tensor, Tensor, Tensor]:
    """A view (B, T) with some of its words hidden, which places those are (B, T) bool, and its tokens (B, T).

    Raises:
        UserError: when the tokenizer has no token that hides another.
    """
    own = as_text(modality)
    if own.mask < 0:
        raise UserError("the tokenizer has no mask", "take --tokenizer uncased, or that of a model like BERT")
    u = own.uniforms(len(view), 2 * view.shape[1], view.device)
    chosen = words.hidden(u[:, : view.shape[1]], own.free(view), share)
    ids = view % words.SEGMENT
    low = 1 + max(own.begin, own.sep, own.mask) if own.mask < 10 else 999  # BERT keeps its first numbers free
    seen = words.masked(ids, chosen, u[:, view.shape[1] :], own.mask, low, own.channels)
    return seen + (view - ids), chosen, ids
