"""The losses made for series against slow loops written from their papers, item by item in double precision."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabeled import UserError
from unlabeled.objectives.ahead import ahead
from unlabeled.objectives.hierarchy import hierarchy
from unlabeled.objectives.neighbours import neighbours
from unlabeled.views.stationary import probability, reach, statistic

Vectors = list[list[list[float]]]


def draws(count: int, *shape: int) -> list[Tensor]:
    chance = torch.Generator().manual_seed(5)
    return [torch.randn(*shape, generator=chance) for _ in range(count)]


def dot(x: list[float], y: list[float]) -> float:
    return sum(u * v for u, v in zip(x, y, strict=True))


def ahead_loop(guess: Tensor, found: Tensor, known: Tensor, moments: bool = False) -> float:
    """Equation 4 of CPC: minus the log of the true pair's exponential over the sum over the batch, and over the item's
    other moments.
    """
    g, f, terms = guess.double().tolist(), found.double().tolist(), []
    for k in range(len(g)):
        for i in range(len(g[k])):
            if known[k, i]:
                every = {j: math.exp(dot(g[k][i], f[k][j])) for j in range(len(f[k])) if known[k, j]}
                others = [math.exp(dot(g[k][i], f[m][i])) for m in range(len(g)) if moments and m != k and known[m, i]]
                terms.append(-math.log(every[i] / (sum(every.values()) + sum(others))))
    return sum(terms) / len(terms)


def test_ahead_loop() -> None:
    guess, found = draws(2, 3, 5, 4)
    everything = torch.ones(3, 5, dtype=torch.bool)
    for moments in (False, True):
        slow = ahead_loop(guess, found, everything, moments)
        assert ahead(guess, found, moments=moments).item() == pytest.approx(slow, rel=1e-5)


def test_ahead_leaves_out_what_lies_behind_the_ends() -> None:
    guess, found = (x.requires_grad_() for x in draws(2, 3, 5, 4))
    known = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    alone = ahead(guess, found, known)
    assert alone.item() == pytest.approx(ahead_loop(guess, found, known), rel=1e-5)
    loss = ahead(guess, found, known, moments=True)
    assert loss.item() == pytest.approx(ahead_loop(guess, found, known, moments=True), rel=1e-5)
    (alone + loss).backward()
    for x in (guess, found):
        assert x.grad is not None and not x.grad[~known].any() and x.grad[known].any(1).all()


def test_ahead_needs_someone_else() -> None:
    with pytest.raises(UserError, match="one item"):
        ahead(torch.zeros(2, 1, 3), torch.zeros(2, 1, 3))


def hierarchy_loop(a: Tensor, b: Tensor, known: Tensor, share: float) -> float:
    """Equations 1 to 3 of TS2Vec and its algorithm 1: losses of all scales, the mean; max pooling between them."""
    one, two, there = a.double().tolist(), b.double().tolist(), known.tolist()
    items, scales = len(one), []
    while True:
        times = len(one[0])
        other, moment, count = [], [], 0
        for i in range(items):
            for t in range(times):
                if not there[i][t]:
                    continue
                count += 1
                for here, far in ((one, two), (two, one)):  # each view finds itself in the other
                    own = math.exp(dot(here[i][t], far[i][t]))
                    rest = [math.exp(dot(here[i][t], far[i][s])) for s in range(times) if there[i][s]]
                    rest += [math.exp(dot(here[i][t], here[i][s])) for s in range(times) if there[i][s] and s != t]
                    moment.append(-math.log(own / sum(rest)))
                    rest = [math.exp(dot(here[i][t], far[j][t])) for j in range(items) if there[j][t]]
                    rest += [math.exp(dot(here[i][t], here[j][t])) for j in range(items) if there[j][t] and j != i]
                    other.append(-math.log(own / sum(rest)))
        scales.append(share * sum(other) / len(other) + (1 - share) * (sum(moment) / len(moment) if times > 1 else 0.0))
        if times == 1:
            return sum(scales) / len(scales)
        half = range(times // 2)
        one, two = ([[_larger(x[i], there[i], 2 * t) for t in half] for i in range(items)] for x in (one, two))
        there = [[there[i][2 * t] or there[i][2 * t + 1] for t in half] for i in range(items)]


def _larger(x: list[list[float]], there: list[bool], at: int) -> list[float]:
    pair = [x[s] for s in (at, at + 1) if there[s]]
    return [max(v) for v in zip(*pair, strict=True)] if pair else [0.0] * len(x[0])


@pytest.mark.parametrize("times", [1, 2, 7, 8])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_hierarchy_loop(times: int, share: float) -> None:
    a, b = draws(2, 3, times, 4)
    if times == 1 and share == 0:
        return  # nothing is contrasted
    expected = hierarchy_loop(a, b, torch.ones(3, times, dtype=torch.bool), share)
    assert hierarchy(a, b, instance=share).item() == pytest.approx(expected, rel=1e-5)


def test_hierarchy_leaves_out_what_lies_behind_the_ends() -> None:
    a, b = (x.requires_grad_() for x in draws(2, 3, 7, 4))
    known = torch.arange(7) < torch.tensor([7, 3, 2])[:, None]
    loss = hierarchy(a, b, known, instance=0.3)
    assert loss.item() == pytest.approx(hierarchy_loop(a, b, known, 0.3), rel=1e-5)
    loss.backward()
    assert a.grad is not None and not a.grad[~known].any() and a.grad.isfinite().all()


def test_hierarchy_refuses_what_cannot_be_contrasted() -> None:
    with pytest.raises(UserError, match="shapes"):
        hierarchy(torch.zeros(2, 3, 4), torch.zeros(2, 2, 4))
    with pytest.raises(UserError, match="two items"):
        hierarchy(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))


def test_neighbours_loop() -> None:
    near, far = draws(1, 6)[0], draws(1, 9)[0]
    total = 0.0
    for x in near.double().tolist():
        total -= math.log(1 / (1 + math.exp(-x))) / len(near)
    for x in far.double().tolist():
        yes = 1 / (1 + math.exp(-x))
        total -= ((1 - 0.2) * math.log(1 - yes) + 0.2 * math.log(yes)) / len(far)
    assert neighbours(near, far, 0.2).item() == pytest.approx(total / 2, rel=1e-5)


def test_neighbours_by_hand() -> None:
    """Certain of everything: only the share of strangers that may be neighbours costs, 20 a pair."""
    sure = torch.tensor([20.0])
    assert neighbours(sure, -sure, 0.0).item() == pytest.approx(0.0, abs=1e-7)
    assert neighbours(sure, -sure, 0.25).item() == pytest.approx(20 * 0.25 / 2, rel=1e-5)


def dickey_fuller(x: np.ndarray, lags: int) -> float:
    """The t value of the level by least squares, as a textbook has it."""
    change = np.diff(x)
    rows = [[1.0, x[t], *(change[t - k] for k in range(1, lags + 1))] for t in range(lags, len(change))]
    design, y = np.array(rows), change[lags:]
    fit, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = y - design @ fit
    spread = error @ error / (len(y) - design.shape[1]) * np.linalg.inv(design.T @ design)
    return float(fit[1] / math.sqrt(spread[1, 1]))


@pytest.mark.parametrize("lags", [0, 1, 3])
def test_dickey_fuller_of_parts_is_that_of_the_parts_alone(lags: int) -> None:
    x = torch.randn(4, 60, generator=torch.Generator().manual_seed(2))
    x[2:] = x[2:].cumsum(1)
    within = torch.zeros(4, 60, dtype=torch.bool)
    spans = [(0, 60), (5, 40), (20, 60), (10, 35)]
    for i, (first, last) in enumerate(spans):
        within[i, first:last] = True
    found = statistic(x, within, lags).tolist()
    parts = [x[i, first:last].double().numpy() for i, (first, last) in enumerate(spans)]
    assert found == pytest.approx([dickey_fuller(part, lags) for part in parts], rel=1e-4)


def test_dickey_fuller_holds_its_level() -> None:
    """Walks at random are called stationary about as often as the level says, noise that comes back nearly always."""
    noise = torch.randn(2000, 100, generator=torch.Generator().manual_seed(4))
    every = torch.ones(2000, 100, dtype=torch.bool)
    walks, back = (probability(statistic(x, every, 2)) < 0.05 for x in (noise.cumsum(1), noise))
    assert 0.03 < walks.float().mean() < 0.07
    assert back.float().mean() > 0.99


def test_neighbourhoods_end_where_the_mean_moves() -> None:
    """Noise around one mean reaches as far as it is let; a walk does not; what never moves is stationary."""
    noise = torch.randn(2, 2, 128, generator=torch.Generator().manual_seed(1))
    noise[1] = noise[1].cumsum(1)
    middle, length = torch.full((2,), 64), torch.full((2,), 128)
    assert reach(noise, length, middle, 32, 2).tolist() == [2, 1]
    assert reach(torch.ones(1, 2, 128), length[:1], middle[:1], 16, 4).tolist() == [4]
