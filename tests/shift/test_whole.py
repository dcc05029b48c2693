"""Nothing of strangers is passed over, and what has collapsed or diverged is told instead of ending the work."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unlabeled.data.prepare import prepare
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.shift import strangers
from unlabeled.shift.bench import Bench
from unlabeled.shift.representation import tell
from unlabeled.shift.subjects import Subject
from unlabeled.study.gallery import plane
from unlabeled.verbs.shift import _claim, _related


def test_strangers_are_cut_as_the_data_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recordings that turn strange late are seen there: each window is an item, of the group of its recording."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    random, seen = np.random.default_rng(0), list[Store]()
    for place, late in (("known", 0.0), ("odd", 50.0)):
        (tmp_path / place).mkdir()
        for i in range(3):
            values = random.normal(size=(1000, 2))
            values[600:] += late
            frame = pd.DataFrame(values, columns=["a", "b"]).assign(time=np.arange(1000))
            frame.to_csv(tmp_path / place / f"{i}.csv", index=False)

    def scores(_: Bench, s: Subject, draw: int, code: str, store: Store) -> dict[str, tuple[np.ndarray, ...]]:
        seen.append(store)
        level = np.nanmax(store.array[:, 1], axis=1)
        return {"knn": (np.zeros(5), np.zeros(5), (level > 25).astype(float))}

    monkeypatch.setattr(strangers, "_scores", scores)
    made: Any = SimpleNamespace(prepared=prepare(tmp_path / "known", size=128), draws=[np.arange(4)])
    arm: Any = SimpleNamespace(arm="simclr", seed=0, kind="trained", probe="linear")
    found = strangers.measure(made, [arm], {"odd": str(tmp_path / "odd")})
    assert len(seen[0]) == len(made.prepared.store) > 3 * 10
    assert 0.2 < float(found.table["detected"].iloc[0]) < 0.6 and found.table["strange"].iloc[0] == len(seen[0])


def test_a_path_of_strangers_may_hold_the_sign_of_a_name(tmp_path: Path) -> None:
    place = tmp_path / "lr=0.1" / "odd"
    place.mkdir(parents=True)
    assert list(strangers.places([str(place), f"far={place}"]).values()) == [str(place), str(place)]


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_features_that_are_alike_or_no_numbers_lie_in_one_place(value: float) -> None:
    x = np.full((20, 8), value)
    assert not plane(x, 0).any()
    assert plane(np.random.default_rng(0).normal(size=(20, 8)), 0).std() > 0


def test_what_diverged_tells_nothing() -> None:
    assert np.isnan(tell(np.full((20, 3), np.nan), np.arange(20) % 2))


@pytest.mark.parametrize(("held", "words"), [('{"data": "d"}', "results of another verb"), ("{", "cannot read")])
def test_a_folder_of_another_verb_is_refused(
    held: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlabeled.verbs.shift.identity", lambda _: {})
    (tmp_path / "cells.json").write_text(held)
    table = SimpleNamespace(items=pd.DataFrame({"domain": ["a"]}))
    bench: Any = SimpleNamespace(folder=tmp_path, draws=[], prepared=SimpleNamespace(table=table))
    with pytest.raises(UserError, match=words):
        _claim(bench, "d", [], {})
    (tmp_path / "cells.json").write_text(json.dumps({"runs": {}}))
    _claim(bench, "d", [], {})


def test_what_a_supervised_arm_was_shown_is_watched(tmp_path: Path) -> None:
    looks = SimpleNamespace(changes=lambda: {"jitter"})
    arm: Any = SimpleNamespace(
        arm="supervised", kind="supervised", folder=None, probe="linear", recipe=SimpleNamespace(looks=lambda: looks)
    )
    store = SimpleNamespace(batch=lambda rows: rows)
    prepared: Any = SimpleNamespace(store=store, learning=np.arange(4))
    for how, names in (("finetune", []), ("finetune(views=strong)", ["jitter"])):
        assert _related([arm], prepared, ["contrast"], how) == {"supervised": {"contrast": names}}
