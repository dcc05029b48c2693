"""A model of sounds goes into one file that answers as torch does, from files of any rate."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from unlabeled import catalog
from unlabeled.data.prepare import prepare
from unlabeled.deploy.net import view_of
from unlabeled.encoders import _build
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose


@pytest.mark.parametrize(
    "encoder", ["cnn(width=4,stages=2)", "tcn(width=4,stages=1,blocks=1)", "wave(width=4,strides=(5,4,2))"]
)
def test_the_exported_view_is_the_plain_one(
    encoder: str, chirps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    ready = prepare(chirps)
    recipe = compose(ready, catalog.parse("methods", "simclr"), _build.spec(encoder), Augmentation(), Training(), 1, 0)
    whole = torch.nn.Sequential(view_of(recipe, ready.store.shape, ready.store.dtype), recipe.build_encoder()).eval()
    raw = ready.store.batch(ready.test[:3])
    items = torch.export.Dim("items", min=1)
    program = torch.export.export(whole, (raw[:2],), dynamic_shapes=({0: items},))
    with torch.no_grad():
        torch.testing.assert_close(program.module()(raw), whole(raw), atol=1e-4, rtol=1e-3)


def test_another_rate_is_another_file_and_the_same_sound(
    chirps: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    ready = prepare(chirps)
    file = chirps / ready.table.items["path"].iloc[0]
    x, rate = soundfile.read(file)
    import soxr

    soundfile.write(tmp_path / "fast.flac", soxr.resample(x, rate, 48_000), 48_000)
    from unlabeled.deploy.inputs import table_of

    with table_of([str(file), str(tmp_path / "fast.flac")], "audio") as table:
        read = ready.prep.reader(table)
        one, two = (read(i)[0].astype(float) for i in (0, 1))
    length = int((one > -32768).sum())
    assert abs(int((two > -32768).sum()) - length) <= 1
    assert np.corrcoef(one[: length - 1], two[: length - 1])[0, 1] > 0.98
