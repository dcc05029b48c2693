"""The modality of series: reproducible, per item, true to its inverses; what was not measured is never guessed."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities.series import Series
from unlabeled.settings import Augmentation
from unlabeled.views import drawing, motion, wear

STILL = Augmentation(crop=1.0, jitter=0.0, noise=0.0, cutout=0.0, warp=0.0, drop=0.0)


def items(count: int = 5, variables: int = 3, steps: int = 32, ends: bool = False, gaps: bool = False) -> Tensor:
    """Raw items as a store holds them; with `ends` all but the first are shorter, with `gaps` a third is missing."""
    chance = torch.Generator().manual_seed(3)
    x = torch.randn(count, variables, steps, generator=chance).cumsum(2)
    if gaps:
        x[torch.rand(x.shape, generator=chance) < 0.33] = float("nan")
    inside = torch.ones(count, 1, steps)
    if ends:
        for i in range(1, count):
            x[i, :, steps - 3 * i :] = float("nan")
            inside[i, :, steps - 3 * i :] = 0
    return torch.cat([inside, x], 1)


def series(raw: Tensor, augmentation: Augmentation = STILL, missing: bool = False, statics: int = 0) -> Series:
    values = raw[:, 1:].movedim(1, 0).flatten(1)
    mean, std = values.nanmean(1), (values - values.nanmean(1, keepdim=True)).square().nanmean(1).sqrt()
    told = {"mean": (1.0, *mean.tolist()), "std": (0.0, *std.tolist())}
    size, channels = raw.shape[2], raw.shape[1]
    return Series(size=size, channels=channels, augmentation=augmentation, missing=missing, statics=statics, **told)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_still_augmentation_is_the_plain_view(ends: bool, gaps: bool) -> None:
    raw = items(ends=ends, gaps=gaps)
    look = series(raw, missing=gaps)
    torch.testing.assert_close(look.augment(raw), look.plain(raw), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(series(raw, Augmentation(), gaps).augment(raw), look.plain(raw))


@pytest.mark.parametrize("strength", ["strong", "mild", "small"])
@pytest.mark.parametrize("gaps", [False, True])
def test_views_follow_from_seed_step_and_rank_and_from_no_neighbour(strength: str, gaps: bool) -> None:
    raw = items(gaps=gaps)
    look = series(raw, Augmentation(permute=4), gaps)
    first, again = (look.at(1, 2, 3).augment(raw, strength) for _ in range(2))  # type: ignore[arg-type]
    assert torch.equal(first, again)
    assert first.shape == (5, look.channels, 16 if strength == "small" else 32)
    for other in (look.at(2, 2, 3), look.at(1, 3, 3), look.at(1, 2, 4)):
        assert not torch.equal(first, other.augment(raw, strength))  # type: ignore[arg-type]
    changed = raw.clone()
    changed[1:, 1:] += 9
    torch.testing.assert_close(look.at(1, 2, 3).augment(changed, strength)[0], first[0])  # type: ignore[arg-type]


def test_what_is_missing_is_told_and_holds_the_last_value() -> None:
    nan = float("nan")
    raw = torch.tensor([[[1, 1, 1, 0.0], [nan, 2, nan, nan], [5, 5, 5, nan]]])
    look = Series(size=4, channels=3, missing=True, statics=1, std=(1.0, 2.0, 1.0), mean=(1.0, 0.0, 5.0))
    inside, value, static, known, static_known, gap = look.plain(raw)[0]
    assert inside.tolist() == [1, 1, 1, 0]
    assert value.tolist() == [0, 1, 1, 0] and static.tolist() == [0, 0, 0, 0]
    assert known.tolist() == [0, 1, 0, 0] and static_known.tolist() == [1, 1, 1, 0]
    expected = torch.tensor([1.0, 0.0, 1.0, 0.0]).log1p() / np.log1p(4)
    torch.testing.assert_close(gap, expected.float())


def test_no_loss_can_touch_what_is_missing() -> None:
    raw = items(gaps=True, ends=True)
    look = series(raw, missing=True)
    weight = look.measured(look.plain(raw))
    assert weight is not None
    assert torch.equal(weight[:, 1:4] > 0, ~raw[:, 1:].isnan())
    assert (weight[:, 7:] == 0).all()


def test_random_views_never_measure_what_was_not_measured() -> None:
    raw = items(gaps=True)
    view = series(raw, Augmentation(), missing=True).at(0, 0).augment(raw)
    was = (~raw[:, 1:].isnan()).float()
    assert (view[:, 4:7] <= was).all() and view[:, 4:7].sum() < was.sum()


def test_statics_stay_as_they_are() -> None:
    raw = items(gaps=True)
    raw[:, 3] = torch.arange(5.0)[:, None]
    look = series(raw, Augmentation(drop=0.9), missing=True, statics=1)
    plain, view = look.plain(raw), look.at(0, 0).augment(raw)
    torch.testing.assert_close(view[:, 3], plain[:, 3])
    changed, _ = look.at(0, 0).intervene(plain)
    torch.testing.assert_close(changed[:, 3], plain[:, 3])
    worse = look.at(0, 0).corrupt(raw, "white_noise", 5)
    torch.testing.assert_close(worse[:, 3], raw[:, 3])


@pytest.mark.parametrize("gaps", [False, True])
def test_an_intervention_of_nothing_changes_nothing_and_each_kind_something(gaps: bool) -> None:
    raw = items(gaps=gaps)
    look = series(raw, missing=gaps)
    view, kinds = look.plain(raw), look.interventions()
    assert ("rate" in kinds) is not gaps
    still, style = look.at(0, 0).intervene(view, torch.zeros(5, len(kinds)))
    torch.testing.assert_close(still, view, atol=1e-5, rtol=1e-5)
    assert style.names == kinds
    for i in range(len(kinds)):
        amounts = torch.zeros(5, len(kinds))
        amounts[1:, i] = 1.0
        changed, _ = look.at(0, 0).intervene(view, amounts)
        torch.testing.assert_close(changed[0], view[0], atol=1e-5, rtol=1e-5)
        assert not torch.allclose(changed[1:], view[1:]), kinds[i]


@pytest.mark.parametrize("kind", list(wear.KINDS))
def test_corruption_grows_with_severity(kind: str) -> None:
    raw = items(count=16, steps=64)
    look = series(raw)
    off = [(look.at(0, 0).corrupt(raw, kind, s)[:, 1:] - raw[:, 1:]).square().mean().item() for s in range(1, 6)]
    assert off[0] > 0 and all(a < b for a, b in pairwise(off)), off


def test_corruption_loses_values_where_that_can_be_told_and_holds_them_elsewhere() -> None:
    raw = items()
    assert series(raw, missing=True).at(0, 0).corrupt(raw, "dropouts", 3).isnan().any()
    assert not series(raw).at(0, 0).corrupt(raw, "dropouts", 3).isnan().any()
    with pytest.raises(UserError, match="there is no corruption"):
        series(raw).corrupt(raw, "fog", 1)


def test_patches_and_units_have_inverses() -> None:
    raw = items(gaps=True)
    look = series(raw, missing=True)
    view = look.plain(raw)
    assert torch.equal(look.unpatch(look.patches(view, 8), 8), view)
    torch.testing.assert_close(look.normalise(look.natural(view)), view, atol=1e-4, rtol=1e-4)
    natural = look.natural(view)[:, 1:4]
    known = ~raw[:, 1:].isnan()
    torch.testing.assert_close(natural[known], raw[:, 1:][known], atol=1e-4, rtol=1e-4)


def test_noise_touches_values_alone() -> None:
    raw = items(gaps=True, ends=True)
    look = series(raw, missing=True)
    view = look.plain(raw)
    noisy = look.noisy(view, 0.5)
    assert torch.equal(noisy[:, 0], view[:, 0]) and torch.equal(noisy[:, 4:], view[:, 4:])
    assert (noisy[:, 1:4] - view[:, 1:4]).std().item() == pytest.approx(0.5, rel=0.1)


def test_bent_time_never_runs_backward_and_keeps_its_ends() -> None:
    at = motion.places(
        torch.full((64,), 50), torch.zeros(64), torch.ones(64), torch.linspace(-0.95, 0.95, 64), torch.rand(64), 50
    )
    assert (at.diff(dim=1) >= -1e-4).all()
    torch.testing.assert_close(at[:, 0], torch.zeros(64))
    torch.testing.assert_close(at[:, -1], torch.full((64,), 49.0))


def test_pieces_change_places_and_all_stay() -> None:
    at = torch.arange(12.0).expand(3, -1)
    u = torch.tensor([[0.9, 0.1, 0.5, 0.3], [0.2, 0.8, 0.4, 0.6], [0.7, 0.3, 0.5, 0.1]])
    out = motion.permute(at, torch.tensor([12, 12, 6]), u, torch.tensor([4, 1, 3]))
    assert sorted(out[0].tolist()) == list(range(12)) and out[0].tolist() != list(range(12))
    assert out[1].tolist() == list(range(12))
    assert sorted(out[2, :6].tolist()) == list(range(6)) and out[2, 6:].tolist() == list(range(6, 12))


def test_a_curve_is_drawn_where_it_lies_and_gaps_stay_open() -> None:
    rising = np.linspace(-1, 1, 50)[None, None]
    picture = drawing.curves(rising, 32)[0]
    ink = picture[..., 0] < 255
    rows = [int(np.flatnonzero(ink[:, x]).mean()) for x in range(32)]
    assert rows == sorted(rows, reverse=True) and rows[0] > 24 and rows[-1] < 8
    rising[..., 20:30] = np.nan
    assert not (drawing.curves(rising, 32)[0][:, 15:17, 0] < 255).any()


@pytest.mark.parametrize("missing", [True, False])
def test_a_variable_that_was_never_measured_before_is_left_out(missing: bool) -> None:
    raw = items(gaps=missing)
    known = {"mean": (1.0, 0.0, 0.0, 0.0), "std": (0.0, 1.0, -1.0, 1.0)}
    looks = Series(size=32, channels=4, augmentation=STILL, missing=missing, **known)  # type: ignore[arg-type]
    other = raw.clone()
    other[:, 2] = 250 + 50 * other[:, 2]  # in whatever units
    torch.testing.assert_close(looks.plain(raw), looks.plain(other))
    assert (looks.plain(raw)[:, 2] == 0).all()
    if missing:
        assert (looks.plain(raw)[:, 1 + 3 + 1] == 0).all() and looks.plain(raw)[:, 1 + 3].any()
    torch.testing.assert_close(looks.at(0, 0).augment(raw), looks.at(0, 0).augment(other))


def test_noise_is_on_what_was_measured_alone_and_a_gap_holds_it() -> None:
    looks = Series(size=32, channels=4, missing=True)
    view = looks.plain(items(ends=True, gaps=True))
    noisy, known = looks.noisy(view, 0.5), looks.measured(view)[:, 1:4] > 0.5
    changed = noisy[:, 1:4] != view[:, 1:4]
    assert (changed[known]).all() and (noisy[:, 4:] == view[:, 4:]).all() and (noisy[:, 0] == view[:, 0]).all()
    assert (noisy * (view[:, :1] < 0.5) == 0).all(), "nothing stands behind the end"
    held = motion.latest(known)
    inside = (view[:, :1] > 0.5) & (held >= 0)
    same = noisy[:, 1:4].gather(2, held.clamp(min=0)) == noisy[:, 1:4]
    assert same[inside.expand_as(same)].all()
    assert not looks.tells(view, torch.zeros_like(view, dtype=torch.bool)).any()
