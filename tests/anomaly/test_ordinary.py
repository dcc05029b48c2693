"""What good places and items look like: distances as a slow loop has them, and textures that are another all over."""

import numpy as np
import pytest
import torch
from looking import eye
from sklearn.covariance import ledoit_wolf

from unlabeled.anomaly import _figures
from unlabeled.anomaly._bank import answers, as_they_are
from unlabeled.anomaly._ordinary import Ordinary, whole
from unlabeled.anomaly.planted import Planted
from unlabeled.data.store import Store
from unlabeled.errors import UserError


def slow(train: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Logarithms of squared Mahalanobis distances, vector by vector."""
    mean, spread = train.mean(0), train.std(0)
    among = ledoit_wolf((train - mean) / spread)[0] + 1e-3 * np.eye(train.shape[1])
    return np.array([np.log(((v - mean) / spread) @ np.linalg.solve(among, (v - mean) / spread)) for v in x])


def test_distances_are_those_of_a_slow_loop_in_units_of_lots_left_out() -> None:
    rng = np.random.default_rng(0)
    turn = rng.standard_normal((3, 3))
    lots = [rng.standard_normal((n, 3)) @ turn + 5 for n in (90, 60)]
    seen = rng.standard_normal((4, 3, 6, 6)).astype(np.float32)
    items = [whole(torch.from_numpy(rng.standard_normal((n, 3, 6, 6)).astype(np.float32))) for n in (50, 70)]
    found = Ordinary(3).learn([torch.from_numpy(lot) for lot in lots], items)
    flat = seen.transpose(0, 2, 3, 1).reshape(-1, 3).astype(float)
    left_out = np.concatenate([slow(lots[1], lots[0]), slow(lots[0], lots[1])])
    want = (slow(np.concatenate(lots), flat) - np.median(left_out)) / left_out.std(ddof=1)
    assert found.places(torch.from_numpy(seen)).flatten().numpy() == pytest.approx(want, abs=2e-2)
    a, b = (lot.numpy().astype(float) for lot in items)
    left_out = np.concatenate([slow(b, a), slow(a, b)])
    mine = whole(torch.from_numpy(seen)).numpy().astype(float)
    want = (slow(np.concatenate([a, b]), mine) - np.median(left_out)) / left_out.std(ddof=1)
    assert found.items(torch.from_numpy(seen)).numpy() == pytest.approx(want, abs=2e-2)


def test_new_good_items_are_ordinary_however_few_were_seen() -> None:
    """Of 40 items with 48 numbers each: what they would say of themselves is far too near."""
    rng = torch.Generator().manual_seed(0)
    items = torch.randn(440, 48, generator=rng)
    found = Ordinary(12).learn([torch.randn(500, 12, generator=rng)], [items[:40]])
    far = ((items[40:] - found.get_buffer("item_mean")) @ found.get_buffer("item_root")).square().sum(1).log()
    unit = found.get_buffer("item_unit")
    assert abs(float((far.median() - unit[0]) / unit[1])) < 0.7


def test_a_lot_of_one_item_stands_for_none() -> None:
    """Beside what one item alone shows all others would be as far off as can be, and nothing odd would stand out."""
    rng = torch.Generator().manual_seed(0)
    places, items = torch.randn(400, 3, generator=rng), torch.randn(41, 12, generator=rng)
    found = Ordinary(3).learn([places[:300], places[300:]], [items[:40], items[40:]])
    whole_lot = Ordinary(3).learn([places], [items])
    assert torch.equal(found.get_buffer("item_unit"), whole_lot.get_buffer("item_unit"))
    assert float(found.get_buffer("item_unit")[0]) < 4


def textures(count: int, grain: float, seed: int) -> np.ndarray:
    """Pictures (N, 1, 48, 48) uint8 of stripes and grain, under light that changes."""
    rng = np.random.default_rng(seed)
    x = 120 + grain * rng.standard_normal((count, 1, 48, 48)) + 10 * np.sin(np.arange(48) / 2)
    return (x * rng.uniform(0.8, 1.2, (count, 1, 1, 1))).clip(0, 255).astype(np.uint8)


def test_a_texture_that_is_another_all_over_is_no_drawn_fault_and_not_ordinary() -> None:
    look = eye("simclr", 48)
    good, rows = Store(np.concatenate([textures(60, 10, 0), textures(30, 10, 1), textures(30, 7, 2)])), np.arange(120)
    found = {}
    for weight in (0.0, 0.5):
        detector = Planted(pictures=120, width=16, ordinary=weight).fit(look, good, rows[:60])
        scores, maps = detector.score(look, good, rows[60:])
        found[weight] = [_figures.auroc(x[30:], x[:30]) for x in (scores, maps.mean((1, 2)))]
    assert min(found[0.5]) > 0.95 and found[0.5][0] > found[0.0][0] + 0.1, found


def test_answers_as_they_are_keep_the_grain_that_those_in_units_of_their_picture_lose() -> None:
    fine, coarse = (answers(torch.from_numpy(textures(8, grain, 3) / 255).float()) for grain in (6, 12))
    for seen, low, high in ((lambda s: s[:, :6], 0.95, 1.05), (lambda s: as_they_are(s)[:, :6], 1.3, 2.1)):
        more = seen(coarse).abs().mean((0, 2, 3)) / seen(fine).abs().mean((0, 2, 3))
        assert low < float(more.min()) and float(more.max()) < high
    assert fine.shape[1] == 2 * as_they_are(fine).shape[1] + 2


def test_three_good_items_are_too_few() -> None:
    with pytest.raises(UserError, match="3 good items to learn from"):
        Ordinary(4).learn([torch.randn(9, 4)], [torch.randn(3, 16)])
