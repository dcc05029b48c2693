"""What the detector of strangers looks at: axes, spectrum and joined distances, each against a slow one."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

import unlabeled as ul
from unlabeled.data.prepare import prepare
from unlabeled.deploy import strange
from unlabeled.deploy.committee import one_of
from unlabeled.deploy.export import Samples, onnx_file
from unlabeled.deploy.levels import LEAST, REAL, Levels, real_places
from unlabeled.deploy.net import load
from unlabeled.deploy.spectrum import Spectrum
from unlabeled.encoders.bert import BERT
from unlabeled.encoders.cnn import CNN
from unlabeled.encoders.tcn import TCN
from unlabeled.ood.mahalanobis import Mahalanobis
from unlabeled.settings import Handover, Training


def test_the_spectrum_is_that_of_a_fast_transform() -> None:
    view = torch.randn(3, 2, 24, 16, generator=torch.Generator().manual_seed(0))
    found = Spectrum((2, 24, 16))(view).numpy()
    x = view.numpy().mean(1)
    x = x - x.mean((1, 2), keepdims=True)
    bell = [0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in (24, 16)]
    power = np.abs(np.fft.rfft2(x * bell[0][:, None] * bell[1])) ** 2
    down, across = np.meshgrid(np.fft.fftfreq(24), np.fft.rfftfreq(16), indexing="ij")
    away, turn = np.hypot(down, across), np.degrees(np.arctan2(down, across)) % 180
    edges = np.geomspace(1 / 24, 0.5, 8)
    expected = []
    for low, high in pairwise(edges):
        for t in range(4):
            off = np.abs((turn - 45 * t + 90) % 180 - 90)
            here = (away >= low - 1e-9) & (away < high) & ((off < 22.499) | (np.isclose((turn + 22.5) % 180, 45 * t)))
            if here.any():
                expected.append(np.log(power[:, here].mean(1)))
    assert found.shape == (3, len(expected)) and np.allclose(found, np.stack(expected, 1), atol=1e-3)


def test_a_slow_and_a_fast_series_differ_in_the_spectrum_of_their_own_variable() -> None:
    t = torch.arange(128) / 128
    still, slow, fast = torch.zeros(128), torch.sin(2 * torch.pi * 3 * t), torch.sin(2 * torch.pi * 40 * t)
    a, b = Spectrum((2, 128))(torch.stack([torch.stack([still, slow]), torch.stack([still, fast])])).reshape(2, 2, -1)
    assert torch.equal(a[0], b[0]), "the variable that stands still"
    assert a[1].argmax() < b[1].argmax() and a[1].max() - b[1][a[1].argmax()] > 5
    assert not Spectrum.suits((1, 16_000)) and not Spectrum.suits(()) and Spectrum.suits((3, 64, 64))


def test_along_the_axes_known_places_have_no_correlation_and_a_spread_of_one() -> None:
    torch.manual_seed(0)
    look = Levels(CNN(1, 32).eval(), "texture")
    views = torch.randn(40, 1, 32, 32)
    look.learn(views[i : i + 8] for i in range(0, 40, 8))
    with torch.no_grad():
        told = look(views[:5]).numpy()
        places = look.encoder.tokens(views).transpose(1, 2)
        flat = places.transpose(1, 2).reshape(-1, places.shape[1]).double().numpy()
    turned = (flat - look.middle0.numpy()) @ look.axes0.numpy()
    real = turned.std(0) > 0.5
    cov = np.cov(turned[:, real].T, bias=True)
    assert real.sum() > 3 and np.allclose(cov, np.eye(real.sum()), atol=2e-2)
    mine = turned.reshape(40, -1, turned.shape[1])[:5]
    width, count = mine.shape[2], look.dim
    plain = ((flat - flat.mean(0)) / np.where(flat.std(0) > 1e-6, flat.std(0), 1.0)).reshape(40, -1, width)[:5]
    for at, places_ in ((count, plain), (count + 2 * width, mine)):
        assert np.allclose(told[:, at : at + width], places_.mean(1), atol=1e-3)
        assert np.allclose(told[:, at + width : at + 2 * width], np.log(places_.std(1) + LEAST), atol=2e-2)
    assert look.parts(told.shape[1] - count) == (2 * width, 2 * width, told.shape[1] - count - 4 * width)
    again = Levels(look.encoder, "texture", {k: v.numpy() for k, v in look.state().items()})
    assert torch.equal(again(views[:5]), look(views[:5]))


def test_what_lies_behind_the_end_is_no_place() -> None:
    torch.manual_seed(0)
    lengths = torch.randint(8, 64, (60,))
    lengths[:2] = torch.tensor([40, 64])
    inside = (torch.arange(64) < lengths[:, None]).float()[:, None]
    views = torch.cat([inside, torch.randn(60, 2, 64) * inside], 1)
    look = Levels(TCN(3, 64, width=8, stages=1).eval(), "texture").learn([views])
    older = Levels(look.encoder, "texture", {k: v.numpy() for k, v in look.state().items() if k != REAL})
    with torch.no_grad():
        places, told, before = look.encoder.tokens(views), look(views), older(views)
    own = places[0, :40].double()
    assert torch.allclose(
        told[0, look.dim :][: own.shape[1]].double(), ((own - look.middle0) / look.scale0).mean(0), atol=1e-4
    )
    every = torch.cat([p[:n] for p, n in zip(places, lengths.tolist(), strict=True)])
    assert torch.allclose(look.middle0, every.mean(0), atol=1e-5)
    assert torch.allclose(told[1], before[1], atol=1e-3), "an item that fills the view is told as before"
    widths = look.parts(told.shape[1] - look.dim)
    spectra = [found[:, -widths[-1] :].reshape(60, 3, -1)[:, 1:].mean((1, 2)).numpy() for found in (told, before)]
    new, old = (abs(np.corrcoef(x, lengths.numpy())[0, 1]) for x in spectra)
    assert old > 0.7 > 0.5 > new, "noise has one power, however long it is"


def test_an_ensemble_looks_no_further_than_its_members() -> None:
    torch.manual_seed(0)
    inside = (torch.arange(64) < torch.randint(8, 64, (60, 1))).float()[:, None]
    views = torch.cat([inside, torch.randn(60, 2, 64) * inside], 1)
    members = [TCN(3, 64, width=8, stages=1).eval() for _ in range(2)]
    for member in members:
        member.channels, member.size = 3, 64
    alone, together = (Levels(one_of(some), "texture").learn([views]) for some in (members[:1], members))
    with torch.no_grad():
        assert torch.equal(together(views)[:, together.dim :], alone(views)[:, alone.dim :])


def test_the_places_of_a_text_end_with_it() -> None:
    ids = torch.tensor([[5, 7, 9, 0, 0, 0], [5, 0, 7, 0, 0, 0], [0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]])
    bert = BERT(50, 6, width=8, depth=1, heads=1).eval()
    assert real_places(bert, ids, 6)[:, 0].sum(1).tolist() == [3, 3, 1, 6]


def test_joined_distances_are_those_of_a_slow_sum() -> None:
    random = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = random.normal(size=(300, 11)) * np.exp(random.normal(size=11)) + 2 * np.eye(11)[y]
    logits = x[:, :3]
    state = strange.fit("mahalanobis", x, y, logits, (4, 7))
    new = random.normal(size=(20, 11)) * 4
    score = strange.Strange("mahalanobis", state)(torch.from_numpy(new).float(), torch.zeros(20, 3)).numpy()
    expected = np.zeros(20)
    fold = np.random.default_rng(0).permutation(300) % 5
    z, q = (x - x.mean(0)) / x.std(0), (new - x.mean(0)) / x.std(0)
    for part in (slice(0, 4), slice(4, 11)):
        held = np.zeros(300)
        for f in range(5):
            some = Mahalanobis().fit(z[fold != f, part], y[fold != f], logits[fold != f])
            held[fold == f] = some.score(z[fold == f, part], logits[fold == f])
        own = Mahalanobis().fit(z[:, part], y, logits).score(q[:, part], np.zeros((20, 3)))
        expected += (np.log(own) - np.median(np.log(held))) / np.log(held).std()
    assert np.allclose(score, expected, atol=1e-3)


def test_what_one_part_alone_shows_is_seen_beside_a_wide_part() -> None:
    random = np.random.default_rng(1)
    y = np.zeros(400, int)
    x = random.normal(size=(400, 104))
    new = random.normal(size=(200, 104))
    strangers = new.copy()
    strangers[:, 100:] *= 4
    both = []
    for parts in ((104,), (100, 4)):
        module = strange.Strange("mahalanobis", strange.fit("mahalanobis", x, y, np.zeros((400, 2)), parts))
        known, odd = (module(torch.from_numpy(a).float(), torch.zeros(200, 2)).numpy() for a in (new, strangers))
        both.append((odd[:, None] > known).mean())
    assert both[1] > both[0] + 0.02 and both[1] > 0.95


@pytest.mark.parametrize("sees", ["levels", "features"])
def test_what_older_bundles_look_at_is_still_read_and_exported(
    run: Path, digits: Path, tmp_path: Path, sees: str
) -> None:
    made = ul.finetune(
        str(run), str(digits), labels=200, out=str(tmp_path / "m.ul"), training=Training(threads=1),
        handover=Handover(detector_sees=sees, onnx=False),  # type: ignore[arg-type]
    ).bundle  # fmt: skip
    assert made.facts["strangers"]["sees"] == sees and not any(k.startswith("look/") for k in made.weights())
    prepared = prepare(digits, size=16)
    raw = prepared.store.batch(prepared.test[:40]).numpy()
    samples = Samples(raw, [str(i) for i in range(40)], np.full(40, -1))
    assert onnx_file(made, samples, tmp_path / "m.onnx").strangeness < 1e-3
    assert load(made).look.sees == sees


@pytest.mark.parametrize(("items", "classes"), [(11, 10), (3, 2), (12, 10), (10, 10)])
def test_a_few_items_make_a_detector_of_several_parts(items: int, classes: int) -> None:
    """Where a fold would leave one of a class alone, or each is."""
    random = np.random.default_rng(0)
    y, x = np.arange(items) % classes, random.normal(size=(items, 12)).astype(np.float32)
    state = strange.fit("mahalanobis", x, y, np.zeros((items, classes), np.float32), (6, 6))
    found = strange.Strange("mahalanobis", state)(torch.from_numpy(x), torch.zeros(items, classes))
    assert torch.isfinite(found).all()


def test_what_has_no_spectrum_is_exported_by_torch_too(tmp_path: Path) -> None:
    """Texts, waves and large pictures have none; older bundles say so by an array of nothing."""
    encoder = CNN(channels=1, size=16, width=4, stages=1).eval()
    views = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    look = Levels(encoder, "texture").learn([views])
    assert look.spectrum is None
    state = {k: v.numpy() for k, v in look.state().items()}
    for kept in (state, state | {"shape": np.zeros(0, np.float32)}):
        again = Levels(encoder, "texture", kept)
        assert again.spectrum is None and torch.equal(again(views), look(views))
        torch.export.save(torch.export.export(again, (views,)), tmp_path / "m.pt2")
        found = torch.export.load(tmp_path / "m.pt2").module()(views)
        assert torch.allclose(found, look(views), atol=1e-5)
