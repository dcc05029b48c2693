"""The detector of bundles beside those of the catalog: as a bundle scores, kept without loss, and what it is for."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

from unlabeled.data.store import Store
from unlabeled.deploy.eye import Eye
from unlabeled.deploy.levels import Levels
from unlabeled.deploy.make import calibrate
from unlabeled.deploy.net import Net, Plain
from unlabeled.encoders.cnn import CNN
from unlabeled.metrics import separation
from unlabeled.modalities.image import Image
from unlabeled.settings import Handover
from unlabeled.shift import strangers
from unlabeled.shift import texture as module
from unlabeled.shift.texture import Texture
from unlabeled.training.loop import embed


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Digits of 32 x 32 grey levels, smooth and with a little noise, and their classes."""
    bunch = load_digits()
    wide = np.kron(bunch.images[:400] * 12.0, np.ones((1, 4, 4)))
    noisy = wide + np.random.default_rng(0).normal(20, 3, wide.shape)
    return noisy.clip(0, 255).astype("uint8")[:, None], bunch.target[:400]


def encoder() -> CNN:
    torch.manual_seed(0)
    return CNN(1, 32, width=8).eval()


def test_scores_are_those_of_a_bundle_and_are_kept_without_loss(tmp_path: Path) -> None:
    raw, y = digits()
    store, looks, rows = Store(raw), Image(size=32), np.arange(300)
    known = Texture(encoder(), looks).fit(store, rows, y[rows])
    held = np.arange(300, 400)
    eye = Eye(Plain(looks), Levels(encoder(), "texture"), store).learn(rows)
    net = Net(eye.view, eye.look, np.zeros((10, eye.look.dim)), np.zeros(10))
    calibrate(net, eye, y, rows, held, Handover(), 10)  # as a bundle is made
    with torch.no_grad():
        theirs = net(store.batch(held))[2]  # as it answers
    mine = known.score(store, held)
    np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-4, atol=1e-4)
    known.save(tmp_path / "kept.npz", {"held": mine})
    again = Texture(encoder(), looks)
    assert np.array_equal(again.load(tmp_path / "kept.npz")["held"], mine)
    assert np.array_equal(again.score(store, np.arange(300, 400)), mine)
    (tmp_path / "torn.npz").write_bytes((tmp_path / "kept.npz").read_bytes()[:200])
    assert Texture(encoder(), looks).load(tmp_path / "torn.npz") == {}
    assert Texture(encoder(), looks).load(tmp_path / "none.npz") == {}


def test_another_lens_is_seen_that_the_features_overlook() -> None:
    """The same digits out of focus: a detector on pooled features of random weights does not see it."""
    raw, y = digits()
    other = Store(gaussian_filter(raw[300:], (0, 0, 1, 1)))
    store, looks, net = Store(raw), Image(size=32), encoder()
    device: Any = SimpleNamespace(device=torch.device("cpu"), autocast=lambda: torch.no_grad())
    rows = np.arange(300)
    x, known, odd = (
        embed(net, looks, s, r, device).numpy()
        for s, r in ((store, rows), (store, np.arange(300, 400)), (other, np.arange(100)))
    )
    found = strangers.detectors(x, y[rows], np.zeros((300, 10)))["mahalanobis"]
    plain = separation(found.score(known, np.zeros((100, 10))), found.score(odd, np.zeros((100, 10))))["auroc"]
    texture = Texture(net, looks).fit(store, rows, y[rows])
    seen = separation(texture.score(store, np.arange(300, 400)), texture.score(other, np.arange(100)))["auroc"]
    assert seen > 0.95 > 0.7 > plain


def test_an_encoder_elsewhere_is_copied_and_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    net, twin = encoder().to("meta"), encoder()
    monkeypatch.setattr(module, "deepcopy", lambda _: twin)
    assert Texture(net, Image(size=32)).encoder is twin and next(net.parameters()).is_meta
    assert Texture(twin, Image(size=32)).encoder is twin
