"""How sure is a mean over seeds, label draws and test items, and is one contender really better than another?

The same test items (and usually the same label draws) stand behind every pretraining seed, so seeds, draws and items
are resampled each on their own and multiplied (pigeonhole bootstrap, Owen 2007, arXiv:0712.1111). From n seeds, draws
or groups n - 1 are drawn, which makes the variance of the mean right for small n (Rao & Wu 1988); its quantiles are
those of a normal law, so that the interval is widened by Student's t with as many degrees of freedom as the seeds,
draws and items have that the variance comes from (Satterthwaite 1946): three seeds that differ make it twice as wide.
One item or group alone has no interval. Where all are alike, the interval reaches as far as an unseen one may differ
(Clopper & Pearson 1934). Items that were tested on in n turns, each by a fit to those of the other turns, count for
fewer, as the fits share most items: their part of the variance is 1 + n / (n - 1) times as large (Nadeau & Bengio
2003). Two contenders are compared by the interval of their paired difference, never by two bars that overlap.
With few seeds no test of significance is made at all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from unlabeled.errors import UserError
from unlabeled.significance import paired_t

Cell = tuple[int, int, np.ndarray]
Metric = Callable[[np.ndarray, np.ndarray], np.ndarray]

ENOUGH_SEEDS = 5  # a paired test on fewer says little: Wilcoxon's cannot even go below 0.06
TABLE = 2_000_000  # weights that are held at once
TINY = 1e-24  # variance of figures below which they are all alike


@dataclass(frozen=True)
class Summary:
    """A mean over cells with its uncertainty.

    Args:
        mean: over all cells.
        sd: standard deviation of the cells' means, ddof 1; nan for one cell.
        low: lower end of the 95 % interval.
        high: its upper end.
        n: number of cells.
        seeds: number of pretraining seeds behind it.
        caution: empty, or a sentence about what the interval cannot tell.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int
    seeds: int
    caution: str


@dataclass(frozen=True)
class Difference:
    """A paired difference of two contenders, first minus second.

    Args:
        difference: mean over the paired cells.
        low: lower end of its 95 % interval.
        high: its upper end.
        n: number of paired cells.
        probability: share of the paired cells in which the first is better, ties half (Bouthillier et al. 2021,
            arXiv:2103.03098).
        p: of the paired t test over seeds; nan when there are not enough seeds for one.
        seeds: number of pretraining seeds behind it.
        caution: empty, or a sentence that says why there is no test.
    """

    difference: float
    low: float
    high: float
    n: int
    probability: float
    p: float
    seeds: int
    caution: str


def summarise(
    cells: Sequence[Cell],
    *,
    groups: np.ndarray | None = None,
    turns: int = 1,
    resamples: int = 2000,
    seed: int = 0,
    metric: Metric | None = None,
    rare: int | None = None,
) -> Summary:
    """Mean and 95 % interval over cells by bootstrap of seeds, draws and items.

    Args:
        cells: (seed, draw, values) with a value (N,) for each test item, such as right or wrong; the same items in
            every cell.
        groups: (N,) patients, parts ...: whole groups are resampled instead of items.
        turns: in which the items were tested on, each by a fit to the items of all other turns; 1 for one fit.
        resamples: of the bootstrap, 2000 or more for a report.
        seed: of the bootstrap.
        metric: from one cell's values (N, ...) and item weights (R, N) to figures (R,), 0 to 1; by default the weighted
            mean. Its interval is even in the log-odds, as near 1 the quantiles of an area under a curve are too narrow.
        rare: items or groups of the rarer of two classes, for a metric that ranks them: however many others there are,
            it tells of those few, which have no interval where it is 1.

    Raises:
        UserError: when there is no cell, or the cells do not hold the same number of items.

    >>> s = summarise([(0, 0, np.array([1, 1, 0, 1])), (1, 0, np.array([1, 1, 0, 0]))])
    >>> s.mean, s.n, s.low <= s.mean <= s.high
    (0.625, 2, True)
    """
    points, replicates = _bootstrap(cells, groups, resamples, seed, metric)
    bounds = _bounds(cells, 0.0) if metric is None else (0.0, 1.0)
    units = _units(cells, groups) if rare is None else rare
    low, high = _ends(cells, points, replicates, units, bounds, turns, odds=metric is not None)
    sd = float(points.std(ddof=1)) if len(points) > 1 else float("nan")
    seeds = len({s for s, _, _ in cells})
    return Summary(float(points.mean()), sd, low, high, len(points), seeds, _caution(seeds))


def paired_difference(
    a: Sequence[Cell],
    b: Sequence[Cell],
    *,
    groups: np.ndarray | None = None,
    turns: int = 1,
    resamples: int = 2000,
    seed: int = 0,
    metric: Metric | None = None,
    rare: int | None = None,
) -> Difference:
    """Difference of two contenders over the cells that both have, paired on seed, draw and item.

    Args:
        a: cells of the first contender, as for `summarise`.
        b: cells of the second, on the same items.
        groups: (N,) resampled as wholes.
        turns: as for `summarise`.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        metric: as for `summarise`.
        rare: as for `summarise`.

    Raises:
        UserError: when they share no (seed, draw).

    >>> a, b = np.array([1, 1, 1, 1, 0]), np.array([0, 1, 0, 1, 0])
    >>> d = paired_difference([(0, 0, a), (1, 0, a)], [(0, 0, b), (1, 0, b)])
    >>> d.difference, d.probability, d.caution[:16]
    (0.4, 1.0, 'not enough seeds')
    """
    first, second = ({(s, d): v for s, d, v in cells} for cells in (a, b))
    both = sorted(first.keys() & second.keys())
    if not both:
        raise UserError("the two contenders share no pair of seed and draw", "run both with the same seeds and draws")
    pair = [[(*key, cells[key]) for key in both] for cells in (first, second)]
    if metric is None:  # a difference of means is a mean of differences
        paired = [(s, d, np.subtract(v, w, dtype=np.float64)) for (s, d, v), (_, _, w) in zip(*pair, strict=True)]
        points, replicates = _bootstrap(paired, groups, resamples, seed, None)
    else:
        paired = pair[0]
        results = [_bootstrap(cells, groups, resamples, seed, metric) for cells in pair]
        points, replicates = (x - y for x, y in zip(*results, strict=True))
    bounds = _bounds(paired, -1.0) if metric is None else (-1.0, 1.0)
    units = _units(paired, groups) if rare is None else rare
    low, high = _ends(paired, points, replicates, units, bounds, turns)
    own = np.array([s for s, _ in both])
    seeds = np.unique(own)
    by_seed = np.array([points[own == s].mean() for s in seeds])
    p = float("nan") if len(seeds) < ENOUGH_SEEDS else paired_t(by_seed)
    better = float(np.mean((points > 0) + 0.5 * (points == 0))) if np.isfinite(points).all() else float("nan")
    return Difference(float(points.mean()), low, high, len(points), better, p, len(seeds), _caution(len(seeds)))


def interval(values: np.ndarray, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of a few independent values, such as one figure a seed, by Student's t.

    A bootstrap of so few values would be too narrow. One value alone gives (nan, nan).

    >>> [round(end, 3) for end in interval(np.array([0.9, 0.8, 0.85]))]
    [0.726, 0.974]
    """
    values = np.asarray(values, np.float64)
    if len(values) < 2:
        return float("nan"), float("nan")
    half = float(scipy_stats.t.ppf((1 + level) / 2, len(values) - 1)) * float(values.std(ddof=1)) / len(values) ** 0.5
    return float(values.mean()) - half, float(values.mean()) + half


def crossing(labels: np.ndarray, scores: np.ndarray, target: float) -> float | None:
    """Number of labels at which a curve first reaches a target, straight in the logarithm of the labels between points.

    Args:
        labels: (n,) label counts above 0, in any order.
        scores: (n,) what was reached with them.
        target: the score looked for.

    Returns:
        The count; the smallest of `labels` if the curve starts above the target; None if it never gets there.

    >>> round(crossing(np.array([10, 100, 1000]), np.array([0.5, 0.7, 0.9]), 0.8), 1)
    316.2
    """
    order = np.argsort(labels, kind="stable")
    x, y = np.log(np.asarray(labels, np.float64)[order]), np.asarray(scores, np.float64)[order]
    there = np.flatnonzero(y >= target)
    if not len(there):
        return None
    i = int(there[0])
    if i == 0:
        return float(np.asarray(labels)[order][0])
    return float(np.exp(x[i - 1] + (x[i] - x[i - 1]) * (target - y[i - 1]) / (y[i] - y[i - 1])))


def _bootstrap(
    cells: Sequence[Cell], groups: np.ndarray | None, resamples: int, seed: int, metric: Metric | None
) -> tuple[np.ndarray, np.ndarray]:
    """Figures of the cells (cells,) and of the resampled whole (resamples,)."""
    sizes = {len(v) for _, _, v in cells}
    if len(sizes) != 1 or 0 in sizes:
        raise UserError(
            f"the cells hold {sorted(sizes)} test items", "give at least one cell, all on the same test items"
        )
    items = sizes.pop()
    if groups is not None and len(groups) != items:
        raise UserError(f"{len(groups)} groups came with {items} test items", "give one group for each test item")
    random = np.random.default_rng([seed, 21])
    of_cell = _cell_weights(np.array([c[0] for c in cells]), np.array([c[1] for c in cells]), resamples, random)
    unit = np.arange(items) if groups is None else np.unique(groups, return_inverse=True)[1].ravel()
    values = [np.asarray(v) for _, _, v in cells]
    stack, whole = np.stack(values).astype(np.float64) if metric is None else np.empty(0), np.ones((1, items))
    points = stack.mean(1) if metric is None else np.array([float(metric(v, whole)[0]) for v in values])
    parts = []
    step = max(1, TABLE // items)
    for begin in range(0, resamples, step):
        mine = of_cell[begin : begin + step]
        of_item = resampled(int(unit.max()) + 1, len(mine), random)[:, unit]
        if metric is None:
            parts.append(((mine @ stack) * of_item).sum(1) / of_item.sum(1))
        else:
            parts.append(np.einsum("rc,cr->r", mine, np.stack([metric(v, of_item) for v in values])))
    return points, np.concatenate(parts)


def _cell_weights(seeds: np.ndarray, draws: np.ndarray, resamples: int, random: np.random.Generator) -> np.ndarray:
    """Weights (resamples, cells) that sum to 1; draws are resampled within their seed where seeds do not share them."""
    names, s = np.unique(seeds, return_inverse=True)
    labels, d = np.unique(draws, return_inverse=True)
    weights = resampled(len(names), resamples, random)[:, s]
    if len(names) * len(labels) == len(seeds):
        weights = weights * resampled(len(labels), resamples, random)[:, d]
    else:
        for i in range(len(names)):
            own = np.flatnonzero(s == i)
            within = resampled(len(own), resamples, random)
            weights[:, own] *= within / within.sum(1, keepdims=True)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def resampled(units: int, resamples: int, random: np.random.Generator) -> np.ndarray:
    """How often each unit is drawn (resamples, units), one fewer than there are; a lone one always."""
    if units == 1:
        return np.ones((resamples, 1))
    picks = random.integers(units, size=(resamples, units - 1)) + units * np.arange(resamples)[:, None]
    return np.bincount(picks.ravel(), minlength=resamples * units).reshape(resamples, units).astype(np.float64)


def _units(cells: Sequence[Cell], groups: np.ndarray | None) -> int:
    """Number of items, or of their groups."""
    return len(cells[0][2]) if groups is None else len(np.unique(groups))


def _ends(
    cells: Sequence[Cell],
    points: np.ndarray,
    replicates: np.ndarray,
    units: int,
    bounds: tuple[float, float],
    turns: int,
    odds: bool = False,
) -> tuple[float, float]:
    """Ends of the 95 % interval from figures of the cells and of the resampled whole; nan where one item stands alone,
    or a cell has no figure. Where all items are alike, as far as the share of others may go unseen among so many.
    """
    known = replicates[np.isfinite(replicates)]
    if units < 2 or not np.isfinite(points).all() or 2 * len(known) < len(replicates):
        return float("nan"), float("nan")
    middle, spread = float(known.mean()), float(known.var())
    if spread < TINY:
        if not math.isfinite(bounds[0]):
            return middle, middle
        unseen = 1 - 0.025 ** ((1 + shared(turns)) / units)
        return middle - unseen * (middle - bounds[0]), middle + unseen * (bounds[1] - middle)
    wide, mean = _student(cells, points, spread, units, turns), float(points.mean())
    if odds and 0 < mean < 1:
        half = min(700.0, wide * 1.96 * spread**0.5 / (mean * (1 - mean)))
        against = (1 - mean) / mean
        return 1 / (1 + against * math.exp(half)), 1 / (1 + against * math.exp(-half))
    ends = np.quantile(known, [0.025, 0.975])
    low, high = np.clip(middle + wide * (ends - middle), *bounds)
    return float(low), float(high)


def shared(turns: int) -> float:
    """By how much of itself the variance of items grows where they are tested on in so many turns: the mean over turns
    times the test items per training item of each (Nadeau & Bengio 2003); 0 for one turn, which shares nothing.

    >>> shared(1), shared(5)
    (0.0, 1.25)
    """
    return turns / (turns - 1) if turns > 1 else 0.0


def rarer(positive: np.ndarray, groups: np.ndarray | None = None) -> int:
    """How many items or groups the rarer of two classes has, on which a ranking hangs.

    Args:
        positive: (N,) bool, which items are of one class.
        groups: as for `summarise`.

    >>> rarer(np.arange(300) < 3)
    3
    """
    own = np.arange(len(positive)) if groups is None else groups
    return min(len(np.unique(own[positive])), len(np.unique(own[~positive])))


def _student(cells: Sequence[Cell], points: np.ndarray, spread: float, units: int, turns: int) -> float:
    """How much wider the interval is than the normal one, for a variance from few seeds, few draws and items."""
    seeds, draws = (np.unique([c[i] for c in cells], return_inverse=True)[1] for i in (0, 1))
    n, m = int(seeds.max()) + 1, int(draws.max()) + 1
    parts = []
    if n > 1:
        parts.append((_means(points, seeds).var(ddof=1) / n, n - 1))
    if n * m == len(points) and m > 1:
        parts.append((_means(points, draws).var(ddof=1) / m, m - 1))
    elif len(points) > n:  # each seed has draws of its own
        own = [points[seeds == s] for s in range(n)]
        within = sum(float(p.var(ddof=1)) / len(p) for p in own if len(p) > 1) / n**2
        parts.append((within, len(points) - n))
    return widening(parts, spread, units, turns)


def widening(parts: Sequence[tuple[float, int]], spread: float, units: int, turns: int = 1) -> float:
    """How much wider Student's 95 % interval is than the normal one for a variance in parts (Satterthwaite 1946).

    Args:
        parts: variances of the mean with their degrees of freedom, such as that of few seeds.
        spread: variance of the mean, above 0; what the parts leave of it is that of items or groups.
        units: number of the items or groups, above 1.
        turns: in which they were tested on, which lets their part grow.

    >>> round(widening([(0.01, 2)], 0.01, 100), 2), round(widening([], 0.01, 100), 2)
    (2.2, 1.01)
    """
    rest = max(spread - sum(v for v, _ in parts), 0.0)
    grown = [*parts, (rest * (1 + shared(turns)), units - 1)]
    total = sum(v for v, _ in grown)
    freedom = total**2 / sum(v**2 / f for v, f in grown)
    more = math.sqrt(total / (sum(v for v, _ in parts) + rest))
    return more * float(scipy_stats.t.ppf(0.975, freedom) / scipy_stats.norm.ppf(0.975))


def _means(points: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Mean of the points of each number in `which`."""
    return np.asarray(np.bincount(which, points) / np.bincount(which))


def _bounds(cells: Sequence[Cell], least: float) -> tuple[float, float]:
    """Between what such values lie: from `least` to 1 where all of them do, as shares do, else anywhere."""
    inside = all(least <= float(np.min(v)) and float(np.max(v)) <= 1 for _, _, v in cells)
    return (least, 1.0) if inside else (-math.inf, math.inf)


def _caution(seeds: int) -> str:
    if seeds >= ENOUGH_SEEDS:
        return ""
    return (
        f"not enough seeds ({seeds} of {ENOUGH_SEEDS}) to claim significance: read the interval and the single points"
    )
