"""The picture modality: reproducible, per item, true to its inverse functions, on real steel where it is present."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from torch import Tensor

from unlabeled.errors import UserError
from unlabeled.modalities.image import Image
from unlabeled.settings import Augmentation

STILL = Augmentation(crop=1.0, ratio=1.0, horizontal_flip=0.0, jitter=0.0, blur=0.0)
EVERYTHING = Augmentation(vertical_flip=0.5, rotation=30.0, noise=0.05, cutout=0.3)


def noise(items: int = 6, channels: int = 1, side: int = 80, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Random pictures of one kind of number, as a store would hold them."""
    top = 256 if dtype == torch.uint8 else 65536
    return torch.randint(top, (items, channels, side, side), generator=torch.Generator().manual_seed(7)).to(dtype)


@pytest.fixture(scope="module")
def photographs(steel: Path) -> Tensor:
    """Two steel pictures of each class (12, 1, 100, 100)."""
    files = [sorted(folder.iterdir())[k] for folder in sorted((steel / "train").iterdir()) for k in (3, 40)]
    planes = [np.asarray(Pillow.open(f).convert("L").resize((100, 100))) for f in files]
    return torch.from_numpy(np.stack(planes))[:, None].contiguous()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_still_augmentation_is_the_plain_view(channels: int, dtype: torch.dtype) -> None:
    raw = noise(channels=channels, dtype=dtype)
    image = Image(size=64, channels=channels, augmentation=STILL)
    view = image.augment(raw)
    assert view.shape == (6, channels, 64, 64) and view.dtype == torch.float32
    assert torch.equal(view, image.plain(raw))
    assert not torch.equal(Image(size=64, channels=channels).augment(raw), view)


@pytest.mark.parametrize("strength", ["strong", "mild"])
@pytest.mark.parametrize("augmentation", [Augmentation(), EVERYTHING])
def test_views_follow_from_seed_step_and_rank(augmentation: Augmentation, strength: str) -> None:
    raw, image = noise(), Image(size=48, augmentation=augmentation)
    draws = [image.at(3, 5, 1), image.at(3, 5, 1), image.at(4, 5, 1), image.at(3, 6, 1), image.at(3, 5, 0)]
    first, again, *others = [modality.augment(raw, strength) for modality in draws]  # type: ignore[arg-type]
    assert torch.equal(first, again)
    assert all(not torch.equal(first, other) for other in others)
    assert not torch.equal(draws[0].augment(raw, strength), first)  # type: ignore[arg-type]


def test_mild_only_crops_and_flips() -> None:
    raw = noise()
    loud, quiet = Image(augmentation=EVERYTHING), replace(EVERYTHING, rotation=0.0, noise=0.0, cutout=0.0)
    bare = Image(augmentation=replace(quiet, jitter=0.0, blur=0.0))
    assert torch.equal(loud.at(0, 0).augment(raw, "mild"), bare.at(0, 0).augment(raw))


@pytest.mark.parametrize("augmentation", [Augmentation(), EVERYTHING])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_item_does_not_depend_on_its_neighbours(channels: int, augmentation: Augmentation) -> None:
    raw, image = noise(9, channels), Image(size=64, channels=channels, augmentation=augmentation)
    whole = image.at(1, 2).augment(raw)
    others = torch.cat((raw[:4], 255 - raw[4:]))
    assert torch.allclose(image.at(1, 2).augment(others)[:4], whole[:4], atol=1e-6)
    if augmentation.noise == 0:
        assert torch.allclose(image.at(1, 2).augment(raw[:4]), whole[:4], atol=1e-6)


def test_every_item_has_its_own_parameters() -> None:
    raw = noise(1).expand(32, -1, -1, -1).contiguous()
    views = Image().at(0, 0).augment(raw).flatten(1)
    assert (torch.cdist(views, views) + 1e9 * torch.eye(32)).min() > 1


def test_large_batches_worked_in_parts_give_the_same_views() -> None:
    raw, image = noise(40, 3, 230), Image(size=224, channels=3)  # more than one part
    whole = image.at(0, 0).augment(raw)
    assert torch.allclose(image.at(0, 0).augment(raw[:5]), whole[:5], atol=1e-6)
    assert whole.isfinite().all()


def test_nothing_changes_the_raw_batch() -> None:
    raw = noise(side=64)
    before = raw.clone()
    image = Image(size=64, augmentation=EVERYTHING)
    image.plain(raw), image.augment(raw), image.augment(raw, "mild"), image.intervene(image.plain(raw))
    for kind in image.corruptions():
        image.corrupt(raw, kind, 3)
    assert torch.equal(raw, before)


def test_plain_is_normalised_and_shown_again() -> None:
    raw = noise(channels=3, side=64)
    image = Image(size=64, channels=3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
    by_hand = (raw[2, 1, 5, 9].item() / 255 - 0.5) / 0.25
    assert float(image.plain(raw)[2, 1, 5, 9]) == pytest.approx(by_hand, abs=1e-5)
    assert np.array_equal(image.show(image.plain(raw)), raw.permute(0, 2, 3, 1).numpy())
    grey = Image(size=64).show(Image(size=64).plain(raw[:, :1]))
    assert grey.shape == (6, 64, 64, 3) and np.array_equal(grey, raw[:, :1].expand(-1, 3, -1, -1).permute(0, 2, 3, 1))


def test_a_channel_that_never_changes_stays_at_0() -> None:
    """Of a stain that shines green, red and blue are black in every picture."""
    raw = torch.zeros(6, 3, 32, 32, dtype=torch.uint8)
    raw[:, 1] = noise(6, 1, 32)[:, 0]
    spread = float(raw[:, 1].float().std() / 255)
    image = Image(size=32, channels=3, mean=(0.0, float(raw[:, 1].float().mean() / 255), 0.3), std=(0.0, spread, 1e-9))
    for view in (image.plain(raw), image.at(0, 0).augment(raw)):
        assert view.isfinite().all() and view.abs().max() < 10
    assert image.plain(raw)[:, 0].eq(0).all() and image.plain(raw)[:, 1].std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(image.show(image.plain(raw))[..., 1], raw[:, 1].numpy())


def test_the_plain_view_may_be_larger() -> None:
    raw = noise()
    image = Image(size=32, plain_size=48)
    assert image.plain(raw).shape[-1] == 48 and image.augment(raw).shape[-1] == 32


@settings(max_examples=30, deadline=None)
@given(channels=st.integers(1, 4), size=st.integers(1, 9), side=st.integers(1, 6), items=st.integers(1, 3))
def test_unpatch_undoes_patches(channels: int, size: int, side: int, items: int) -> None:
    view = torch.rand(items, channels, side * size, side * size)
    image = Image(size=side * size, channels=channels)
    cut = image.patches(view, size)
    assert cut.shape == (items, side * side, size * size * channels)
    assert torch.equal(image.unpatch(cut, size), view)
    last = view[0, :, -size:, -size:].permute(1, 2, 0).flatten()
    assert torch.equal(cut[0, -1], last)
    assert side == 1 or torch.equal(cut[0, 1], view[0, :, :size, size : 2 * size].permute(1, 2, 0).flatten())


def test_keep_orders_every_item_anew() -> None:
    image = Image()
    order = image.at(0, 0).keep(200, 16, 0.75, "cpu")
    assert order.dtype == torch.int64 and torch.equal(order.sort(1).values, torch.arange(16).expand(200, -1))
    assert torch.equal(order, image.at(0, 0).keep(200, 16, 0.75, "cpu"))
    seen = torch.bincount(order[:, :4].flatten(), minlength=16)
    assert seen.min() >= 25 and seen.max() <= 80  # 50 each, on average
    assert len(order.unique(dim=0)) == 200


def test_intervene_says_what_it_did_and_moves_no_edge(photographs: Tensor) -> None:
    image = Image(size=96)
    plain = image.plain(photographs)
    before = plain.clone()
    view, changed = image.at(2, 0).intervene(plain)
    assert torch.equal(plain, before)
    assert changed.names == image.interventions() and changed.values.shape == (12, len(changed.names))
    assert changed.values.abs().max() <= 1 and changed.values.std() > 0.3
    again = image.at(2, 0).intervene(plain)
    assert torch.equal(view, again[0]) and torch.equal(changed.values, again[1].values)
    untouched = [i for i, n in enumerate(changed.names) if n not in ("focus", "filter", "grain")]
    values = torch.zeros_like(changed.values)
    values[:, untouched] = changed.values[:, untouched]
    lit, said = image.at(2, 0).intervene(plain, values)
    assert torch.equal(said.values, values)
    for a, b in zip(plain, lit, strict=True):
        a, b = a * 0.25 + 0.5, b * 0.25 + 0.5
        usable = ((b > 0.01) & (b < 0.99))[:, 1:, 1:]
        if usable.float().mean() < 0.5:
            continue  # burnt out
        slopes = [torch.stack((p[:, 1:, 1:] - p[:, 1:, :-1], p[:, 1:, 1:] - p[:, :-1, 1:]))[:, usable] for p in (a, b)]
        alike = torch.corrcoef(torch.stack([s.flatten() for s in slopes]))[0, 1]
        shifted = torch.stack([slopes[0].flatten(), slopes[1].flatten().roll(1)])
        assert alike > 0.85 and torch.corrcoef(shifted)[0, 1] < alike - 0.1  # it would see a shift by one pixel


def test_interventions_can_be_named() -> None:
    image = Image(size=32, channels=3, augmentation=Augmentation(interventions=("hue", "gain")))
    raw = noise(channels=3, side=32)
    view, changed = image.at(0, 0).intervene(image.plain(raw))
    assert changed.names == ("hue", "gain") and view.shape == (6, 3, 32, 32)
    still, _ = image.intervene(image.plain(raw), torch.zeros(6, 2))
    assert torch.allclose(still, image.plain(raw), atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("kind", Image().corruptions())
def test_corruptions_grow_with_severity(photographs: Tensor, kind: str, dtype: torch.dtype) -> None:
    raw = photographs if dtype == torch.uint8 else (photographs.int() * 257).to(dtype)
    image, top = Image(size=96), 255 if dtype == torch.uint8 else 65535
    off = []
    for severity in range(1, 6):
        worse = image.at(0, 0).corrupt(raw, kind, severity)
        assert worse.dtype == dtype and worse.shape == raw.shape
        assert torch.equal(worse, image.at(0, 0).corrupt(raw, kind, severity))
        off.append(float((worse.float() - raw.float()).abs().mean()) / top)
    assert off[0] > 0.002 and off[-1] < 0.35
    assert all(a < b for a, b in pairwise(off))
    if kind not in ("defocus_blur", "brightness", "contrast", "jpeg", "resolution"):  # these draw nothing
        assert not torch.equal(image.at(0, 1).corrupt(raw, kind, 3), image.at(0, 0).corrupt(raw, kind, 3))
    assert torch.equal(image.at(0, 0).corrupt(raw[:2], kind, 2), image.at(0, 0).corrupt(raw, kind, 2)[:2])


@pytest.mark.parametrize("channels", [1, 3, 2])
@pytest.mark.parametrize("side", [8, 33])
def test_corruptions_serve_small_pictures_of_any_channels(channels: int, side: int) -> None:
    raw, image = noise(3, channels, side), Image(size=side, channels=channels)
    for kind in image.corruptions():
        worse = image.corrupt(raw, kind, 5)
        assert worse.shape == raw.shape and not torch.equal(worse, raw), kind


def test_some_corruptions_by_hand(photographs: Tensor) -> None:
    image, x = Image(size=96), photographs.float()
    brighter = image.corrupt(photographs, "brightness", 1).float()
    assert torch.allclose(brighter, (x + 25.5).clamp(max=255), atol=0.51)
    flat = image.corrupt(photographs, "contrast", 5).float()
    mean = x.mean((2, 3), keepdim=True)
    assert torch.allclose(flat, mean + 0.15 * (x - mean), atol=0.51)
    dots = image.corrupt(photographs, "dead_pixels", 5) != photographs
    assert 0.05 < dots.float().mean() < 0.075
    hidden = image.corrupt(photographs, "occlusion", 3) != photographs
    assert 0.14 < hidden.float().mean() < 0.18


def test_wrong_use_is_told_in_words() -> None:
    image = Image(size=64)
    for call, words in (
        (lambda: image.plain(noise(channels=3)), "give \\(items, 1, side, side\\)"),
        (lambda: image.augment(noise().float()), "uint8 or uint16"),
        (lambda: image.corrupt(noise(), "ghosts", 1), "take one of gaussian_noise"),
        (lambda: image.corrupt(noise(), "jpeg", 6), "from 1 to 5"),
        (lambda: image.patches(torch.rand(1, 1, 64, 64), 7), "divides"),
        (lambda: image.unpatch(torch.rand(1, 3, 49), 7), "no square picture"),
        (lambda: image.keep(2, 4, 1.0, "cpu"), "mask ratio"),
        (lambda: Image(channels=3, mean=(0.5, 0.5)), "one for each"),
        (lambda: Image(std=(0.0,)), "above 0"),
        (lambda: Image(size=0), "at least 1"),
    ):
        with pytest.raises(UserError, match=words):
            call()
