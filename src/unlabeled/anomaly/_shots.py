"""What a few labelled faults add to a detector that knows good items only.

A logistic head on the places' vectors learns to tell the faults of the labelled items (where their masks are, else
their most unusual places) from places of good ones. Faulty items are few and their places fewer, good ones plenty, so
the good side is oversampled where it matters: from each good item come its most unusual places (those that raise false
alarms) and as many at random. Both sides weigh the same. An item's new score is its old one plus the head's, each in
units of its spread over good items, and the head counts for more the more faults it has learnt from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch.nn import functional

from unlabeled.anomaly import Detector, Eye
from unlabeled.anomaly._figures import auroc
from unlabeled.errors import UserError

PLACES = 8  # of each good item, from either way of drawing
SUSPECT = 0.05  # share of a faulty item's places that is taken to be the fault
COMPONENTS = 64
HALF = 5  # labelled faults with which the head gets half of its weight


@dataclass
class Places:
    """Items as their places.

    Args:
        vectors: (N, T, D) float16.
        unusual: (N, T) float32, the detector's map at each place.
        scores: (N,) float32, the detector's score.
        marked: (N, T) bool, the places that an item's mask touches; none where there is no mask.
    """

    vectors: np.ndarray
    unusual: np.ndarray
    scores: np.ndarray
    marked: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> "Places":
        """Some of the items."""
        return Places(self.vectors[rows], self.unusual[rows], self.scores[rows], self.marked[rows])


SIDE = 16  # places along a side: keeps a thousand items in a few hundred MB


@torch.no_grad()
def places(detector: Detector, eye: Eye, raw: torch.Tensor, maps: np.ndarray, scores: np.ndarray) -> Places:
    """Vectors and unusualness of 16 x 16 places of raw items, from a detector, its maps (B, S, S) and scores (B,)."""
    found = functional.adaptive_avg_pool2d(detector.places(eye, raw), SIDE).flatten(2).transpose(1, 2)
    pooled = functional.adaptive_max_pool2d(torch.from_numpy(maps)[:, None], SIDE).flatten(1).numpy()
    nothing = np.zeros(pooled.shape, bool)
    return Places(found.cpu().numpy().astype(np.float16), pooled, np.asarray(scores, np.float32), nothing)


def mark(mask: np.ndarray) -> np.ndarray:
    """The 16 x 16 places (T,) bool that a mask (H, W) touches."""
    return functional.adaptive_max_pool2d(torch.from_numpy(mask)[None, None].float(), SIDE).flatten().numpy() > 0


def join(parts: Sequence[Places]) -> Places:
    """Several lots of items as one."""
    return Places(
        np.concatenate([p.vectors for p in parts]),
        np.concatenate([p.unusual for p in parts]),
        np.concatenate([p.scores for p in parts]),
        np.concatenate([p.marked for p in parts]),
    )


class Head:
    """A logistic head on places, from a few faulty items and many good ones.

    Args:
        strength: of the regularisation's inverse (scikit-learn's C), above 0.
        weight: of the head's score beside the detector's own; with k faults it gets k / (k + 5) of that.
    """

    def __init__(self, *, strength: float = 0.01, weight: float = 1.0) -> None:
        if strength <= 0 or weight < 0:
            raise UserError(f"strength={strength:g} and weight={weight:g} were given", "give numbers above 0")
        self.strength, self.weight = strength, weight

    def fit(self, good: Places, faulty: Places, *, seed: int = 0) -> Self:
        """Learn from good items that the detector has not seen, and from a few faulty ones."""
        from sklearn.decomposition import PCA  # seconds to import, and who only judges needs none of it
        from sklearn.linear_model import LogisticRegression

        chance = np.random.default_rng([seed, 41])
        items, count = good.unusual.shape
        hard = np.argsort(-good.unusual, 1)[:, :PLACES]
        usual = chance.integers(0, count, (items, PLACES))
        normal = np.take_along_axis(good.vectors, np.concatenate([hard, usual], 1)[..., None], 1)
        normal = normal.reshape(-1, good.vectors.shape[2]).astype(np.float32)
        top = np.argsort(-faulty.unusual, 1)[:, : max(1, round(SUSPECT * count))]
        chosen = [m if m.any() else t for m, t in zip(faulty.marked, top, strict=True)]
        bad = np.concatenate([v[c] for v, c in zip(faulty.vectors, chosen, strict=True)]).astype(np.float32)
        self.mean, self.spread = normal.mean(0), normal.std(0) + 1e-6
        self.turn = PCA(min(COMPONENTS, normal.shape[1], len(normal)), random_state=seed % 2**32)
        self.turn.fit((normal - self.mean) / self.spread)
        x, y = self._enter(np.concatenate([normal, bad])), np.repeat([0, 1], [len(normal), len(bad)])
        self.head = LogisticRegression(C=self.strength, class_weight="balanced", max_iter=500).fit(x, y)
        self.trust = self.weight * len(faulty.scores) / (len(faulty.scores) + HALF)
        own = self._own(good)
        self.units = [(float(v.mean()), float(v.std()) + 1e-9) for v in (good.scores, own)]
        return self

    def score(self, items: Places) -> np.ndarray:
        """New scores (N,) float32: the detector's and the head's, each in units of its spread over good items."""
        (middle, unit), (own_middle, own_unit) = self.units
        base = (items.scores - middle) / unit
        return np.asarray(base + self.trust * (self._own(items) - own_middle) / own_unit, np.float32)

    def _enter(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray(self.turn.transform((vectors - self.mean) / self.spread), np.float32)

    def _own(self, items: Places) -> np.ndarray:
        """The head's score of each item: the mean of its highest share of places."""
        flat = items.vectors.reshape(-1, items.vectors.shape[2])
        parts = [self.head.decision_function(self._enter(p.astype(np.float32))) for p in _parts(flat)]
        logits = np.concatenate(parts).reshape(items.unusual.shape)
        most = max(1, round(SUSPECT / 2 * items.unusual.shape[1]))
        return np.asarray(np.sort(logits, 1)[:, -most:].mean(1))


def _parts(x: np.ndarray) -> list[np.ndarray]:
    return np.array_split(x, max(1, len(x) // 65_536))


def gain(
    good: Places,
    test: Places,
    faulty: np.ndarray,
    shots: Sequence[int],
    *,
    groups: np.ndarray | None = None,
    draws: int = 5,
    seed: int = 0,
) -> list[dict[str, float]]:
    """What k labelled faults add: AUROC with and without the head, on items that it did not learn from.

    Args:
        good: good items that the detector has not seen.
        test: the test items.
        faulty: (N,) bool, which of them are faulty.
        shots: numbers of labelled faults; 0 gives the detector alone, on all.
        groups: (N,) group numbers; no item of a group that the head learnt from is tested on, good or faulty.
        draws: how often the labelled faults are drawn anew.
        seed: of the draws.

    Returns:
        A row for each k and draw: shots, draw, before, after, tested (number of faults left); before and after are not
        numbers where no faulty or no good item is left to test on.

    Raises:
        UserError: when there are not more faulty items than shots.
    """
    where, rows = np.flatnonzero(faulty), list[dict[str, float]]()
    if shots and max(shots) >= len(where):
        raise UserError(f"{max(shots)} of {len(where)} faulty items were asked for as shots", "ask for fewer --shots")
    for k in shots:
        for draw in range(draws if k else 1):
            taken = np.random.default_rng([seed, 43, draw]).permutation(where)[:k]  # 1 lies in 5 lies in 10
            kin = np.isin(np.arange(len(faulty)), taken) if groups is None else np.isin(groups, groups[taken])
            rest, fine = np.flatnonzero(faulty & ~kin), np.flatnonzero(~faulty & ~kin)
            before = after = auroc(test.scores[rest], test.scores[fine])
            if k and len(rest) and len(fine):
                head = Head().fit(good, test[taken], seed=seed)
                after = auroc(head.score(test[rest]), head.score(test[fine]))
            rows.append({"shots": k, "draw": draw, "before": before, "after": after, "tested": len(rest)})
    return rows
