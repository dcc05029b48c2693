"""Every detector of the folder: it finds drawn faults and where they are, alike on each call, in any lots."""

from pathlib import Path

import numpy as np
import pytest
import torch
from looking import eye, stored
from scipy.spatial.distance import cdist

from unlabeled import catalog
from unlabeled.anomaly import Detector, _faults, _figures, _masks
from unlabeled.anomaly._bank import answers, box
from unlabeled.anomaly._features import grid, view
from unlabeled.anomaly.density import Density
from unlabeled.anomaly.patches import Patches, coreset, nearest
from unlabeled.anomaly.planted import Planted
from unlabeled.data.store import Store
from unlabeled.errors import UserError

SETTINGS = {"planted": {"pictures": 120, "width": 16}, "patches": {"most": 300, "stages": (1, 2)}}
EASY = {"patches": 0.9, "density": 0.9, "planted": 0.9, "reconstruction": 0.6}  # untrained encoders, but planted learns
PICTURES = [
    n for n in catalog.names("anomaly") if "image" in catalog.entry("anomaly", n).facts.get("modalities", ("image",))
]
each = pytest.mark.parametrize("name", PICTURES)


def made(name: str) -> Detector:
    return catalog.load("anomaly", name)(**SETTINGS.get(name, {}))


@each
def test_it_finds_faults_and_where_they_are(name: str, tiles: Path, cache: Path) -> None:
    look = eye("autoencoder(noise=0.0)" if name == "reconstruction" else "simclr")
    _, good = stored(tiles / "train" / "good")
    table, store = stored(tiles / "test")
    detector = made(name).fit(look, good, np.arange(40), seed=0)
    scores, maps = detector.score(look, store, table.rows())
    assert scores.shape == (len(table),) and maps.shape == (len(table), 32, 32) and maps.dtype == np.float32
    faulty = table.items["label"].to_numpy() != "good"
    assert _figures.auroc(scores[faulty], scores[~faulty]) > EASY[name]
    pixels = _figures.Pixels()
    for row, path, label in zip(table.rows(), table.items["path"], table.items["label"], strict=True):
        if label != "good":
            mask = _masks.read(tiles / "ground_truth" / label / f"{Path(path).stem}_mask.png")
            big = torch.nn.functional.interpolate(torch.from_numpy(maps[row])[None, None], mask.shape, mode="bilinear")
            pixels.add(big[0, 0].numpy(), mask, label)
    assert pixels.figures()["all"]["auroc"] > 0.75


@each
def test_it_is_the_same_each_time_and_in_lots(name: str, tiles: Path, cache: Path) -> None:
    look = eye("autoencoder(noise=0.0)" if name == "reconstruction" else "simclr")
    _, good = stored(tiles / "train" / "good")
    small = {"pictures": 20, "epochs": 1, "width": 4} if name == "planted" else SETTINGS.get(name, {})
    one, two = (catalog.load("anomaly", name)(**small).fit(look, good, np.arange(20), seed=3) for _ in range(2))
    whole = one.score(look, good, np.arange(20, 34))
    again = two.score(look, good, np.arange(20, 34))
    parts = [one.score(look, good, rows) for rows in (np.arange(20, 27), np.arange(27, 34))]
    for a, b in zip(whole, again, strict=True):
        assert np.array_equal(a, b)
    for i, a in enumerate(whole):
        np.testing.assert_allclose(a, np.concatenate([p[i] for p in parts]), rtol=1e-4, atol=1e-4)
    assert one.places(look, good.batch(np.arange(2))).shape[0] == 2


def test_nearest_and_coreset_agree_with_slow_loops() -> None:
    torch.manual_seed(0)
    x, bank = torch.randn(30, 5), torch.randn(12, 5)
    np.testing.assert_allclose(nearest(x, bank), cdist(x, bank).min(1), rtol=1e-4)
    chosen = coreset(x, 6, torch.Generator().manual_seed(1)).tolist()
    assert len(set(chosen)) == 6
    gaps = cdist(x, x)
    for i in range(1, 6):  # each is the farthest from all before it
        assert gaps[:, chosen[:i]].min(1).argmax() == chosen[i]


def test_a_projection_still_finds_every_cluster() -> None:
    torch.manual_seed(0)
    clusters = torch.arange(400) % 20
    x = 5 * torch.randn(20, 200)[clusters] + 0.1 * torch.randn(400, 200)
    assert len(set(clusters[coreset(x, 20, torch.Generator().manual_seed(0))].tolist())) == 20


def test_density_is_the_mahalanobis_distance_of_each_place(tiles: Path, cache: Path) -> None:
    look = eye("simclr")
    _, good = stored(tiles / "train" / "good")
    detector = Density(channels=6, shrinkage=0.0, smooth=0.0, level=True).fit(look, good, np.arange(30))
    with torch.no_grad():
        places = grid(look, view(look, good.batch(np.arange(31)), True), (2, 3))[:, detector.picked].double()
    scores, _ = detector.score(look, good, np.array([30]))
    slow = []
    for y in range(places.shape[2]):
        for x in range(places.shape[3]):
            known, new = places[:30, :, y, x].numpy(), places[30, :, y, x].numpy()
            cov = np.cov(known.T)
            slow.append((known.mean(0) - new, cov))
    pooled = np.mean([c for _, c in slow], 0)
    ridge = 1e-3 * np.diag(pooled).mean() * np.eye(6)
    most = max(float(np.sqrt(d @ np.linalg.solve(c + ridge, d))) for d, c in slow)
    assert scores[0] == pytest.approx(most, rel=1e-3)


def test_light_alone_changes_nothing(tiles: Path, cache: Path) -> None:
    look = eye("simclr")
    _, good = stored(tiles / "train" / "good")
    raw = good.batch(np.arange(3))
    darker = (raw.float() * 0.7).round().to(torch.uint8)
    even, plain = (float((view(look, raw, how) - view(look, darker, how)).abs().mean()) for how in (True, False))
    assert even < 0.05 * plain


@pytest.mark.parametrize("encoder", ["resnet18", "convnext_atto", "vit(width=32, depth=2, heads=2)"])
def test_places_of_every_kind_of_encoder(encoder: str, tiles: Path, cache: Path) -> None:
    look = eye("simclr", 64, encoder)
    places = grid(look, torch.randn(2, 1, 64, 64), (2, 3))
    assert places.ndim == 4 and places.shape[0] == 2 and places.shape[2] == places.shape[3] >= 4
    assert Patches(most=50).fit(look, stored(tiles / "train" / "good", 64)[1], np.arange(10)).bank.shape == (
        50,
        places.shape[1],
    )


def test_mae_paints_what_it_did_not_see(tiles: Path, cache: Path) -> None:
    look = eye("mae", 32, "vit(width=32, depth=1, heads=2)")
    _, good = stored(tiles / "train" / "good")
    scores, maps = made("reconstruction").fit(look, good, np.arange(20)).score(look, good, np.arange(20, 25))
    assert np.isfinite(scores).all() and (maps > 0).all()


def test_methods_that_do_not_paint_say_so(tiles: Path, cache: Path) -> None:
    _, good = stored(tiles / "train" / "good")
    with pytest.raises(UserError, match="SimCLR does not paint"):
        made("reconstruction").fit(eye("simclr"), good, np.arange(4))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("patches", {"share": 0.0}), ("patches", {"top": 2.0}), ("density", {"shrinkage": 1.5}),
     ("density", {"smooth": -1.0}), ("reconstruction", {"draws": 0}), ("planted", {"epochs": 0}),
     ("planted", {"windows": (2,)}),
     ("planted", {"top": -1.0})],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(name: str, wrong: dict) -> None:
    with pytest.raises(UserError, match=r"given|asked"):
        catalog.load("anomaly", name)(**wrong)


def test_stages_that_are_not_there_are_refused(tiles: Path, cache: Path) -> None:
    _, good = stored(tiles / "train" / "good")
    with pytest.raises(UserError, match="stages"):
        Patches(stages=(2, 7)).fit(eye("simclr"), good, np.arange(4))


def test_planted_faults_are_where_they_are_said_to_be_and_some_items_stay_good() -> None:
    x = torch.rand(64, 1, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    faulty, where = _faults.plant(x, torch.Generator().manual_seed(1))
    again, _ = _faults.plant(x, torch.Generator().manual_seed(1))
    assert torch.equal(faulty, again)
    assert torch.equal(faulty[where.expand_as(x) == 0], x[where.expand_as(x) == 0])
    bad = where.amax((1, 2, 3)) > 0.25
    assert 0.6 < bad.float().mean() < 0.95
    changed = (faulty - x).abs().amax((1, 2, 3))
    assert (changed[bad] > 0.02).float().mean() > 0.9
    assert float(where.mean((1, 2, 3)).max()) < 0.9
    coloured, _ = _faults.plant(x[:3].expand(-1, 3, -1, -1), torch.Generator().manual_seed(2), share=1.0)
    assert coloured.shape == (3, 3, 48, 48)


def test_a_network_has_not_seen_the_fold_that_it_judges(tiles: Path, cache: Path) -> None:
    look = eye("simclr")
    _, good = stored(tiles / "train" / "good")
    folds = [np.arange(0, 20), np.arange(20, 40)]
    changed = np.array(good.array)
    changed[:20] = np.random.default_rng(0).integers(0, 256, changed[:20].shape)
    one, two = (Planted(pictures=40, epochs=1, width=4).cross(look, Store(x), folds) for x in (good.array, changed))
    new = np.arange(40, 50)
    for fold, same in ((0, True), (1, False)):
        a, b = (d.apart(fold).score(look, good, new)[0] for d in (one, two))
        assert np.array_equal(a, b) == same
    both = one.score(look, good, new)[1]
    alone = np.mean([one.apart(fold).score(look, good, new)[1] for fold in (0, 1)], 0)
    np.testing.assert_allclose(both, alone, rtol=1e-4, atol=1e-4)


def test_filters_do_not_see_the_light_and_windows_are_means() -> None:
    x = torch.rand(2, 1, 100, 100, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.2
    torch.testing.assert_close(answers(x * 0.6), answers(x), rtol=1e-2, atol=2e-2)
    assert torch.isfinite(answers(torch.zeros(1, 1, 64, 64))).all()
    assert answers(x.expand(-1, 3, -1, -1)).shape[1] == answers(x).shape[1] + 12  # six of colour, each twice
    plane = torch.rand(1, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    wide = np.pad(plane[0, 0].numpy(), ((1, 1), (2, 2)), mode="edge")
    slow = np.array([[wide[i : i + 3, j : j + 5].mean() for j in range(9)] for i in range(9)])
    np.testing.assert_allclose(box(plane, 3, 5)[0, 0].numpy(), slow, rtol=1e-4)
