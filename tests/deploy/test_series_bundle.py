"""A model of series goes from a run to a bundle to one file that answers as torch does."""

from pathlib import Path

import numpy as np
import pytest

import unlabeled as ul
from unlabeled.settings import Budget, Handover, Setup, Training

ENCODER = "patchtst(width=8, depth=1, heads=2)"


@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_a_transformer_over_time_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gaps: float) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    labels = {"train": np.arange(160) % 2, "test": np.arange(60) % 2}
    step = np.arange(32)
    parts = {}
    for name, classes in labels.items():
        slow = np.where(classes, 8, 12)[:, None, None]
        x = np.sin(2 * np.pi * step / slow + random.uniform(0, 6, (len(classes), 2, 1)))
        x = (x + random.normal(size=(len(classes), 2, 1))).astype(np.float32)
        x[random.random(x.shape) < gaps] = np.nan
        parts[f"series_{name}"] = x
        parts[f"labels_{name}"] = classes
    np.savez(tmp_path / "waves.npz", **parts)
    data, training = str(tmp_path / "waves.npz"), Training(threads=1, device="cpu", batch_size=32)
    setup = Setup(encoder=ENCODER, out=str(tmp_path / "run"))
    ul.pretrain(data, method="mae", setup=setup, budget=Budget(steps=4), training=training)
    made = ul.finetune(
        str(tmp_path / "run"), data, labels=80, out=str(tmp_path / "m.ul"), training=training,
        handover=Handover(onnx=False),
    )  # fmt: skip
    found = ul.export(str(made.bundle.folder), data, items=40)
    assert found.parity.flipped == () and found.parity.probability < 1e-4
    known, lone = ul.load(str(made.bundle.folder)).predict(data), ul.load(str(found.file)).predict(data)
    assert (known["label"] == lone["label"]).all()
