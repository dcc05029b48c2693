"""Domains that are left out, and groups of strangers, on cells that are made up and not computed by a run."""

import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unlabeled import UserError
from unlabeled.data.prepare import prepare
from unlabeled.data.store import Prep, Store
from unlabeled.settings import Budget, Setup, Training
from unlabeled.shift import domains, representation, strangers
from unlabeled.shift.bench import Bench
from unlabeled.shift.crossing import crossings
from unlabeled.shift.story import limits
from unlabeled.shift.subjects import Subject, find
from unlabeled.study.fits import write_arrays
from unlabeled.verbs.pretrain import pretrain
from unlabeled.verbs.shift import _claim, _weights

ARM = Subject("simclr", 0, "trained", SimpleNamespace())  # type: ignore[arg-type]


def bench(folder: Path, domain: np.ndarray, labels: np.ndarray, test: np.ndarray) -> Bench:
    """A bench with features that show the class, and clean answers that are right everywhere."""
    items = pd.DataFrame({"domain": domain, "group": pd.array([None] * len(labels), dtype="str")})
    table = SimpleNamespace(items=items, labels=labels, classes=["bad", "good"])
    learning, tested = np.flatnonzero(~test), np.flatnonzero(test)
    prepared: Any = SimpleNamespace(table=table, learning=learning, pool=learning, test=tested, labelled=learning)
    found = Bench(folder, prepared, [learning], SimpleNamespace())  # type: ignore[arg-type]
    x = np.random.default_rng(0).normal(size=(len(labels), 4)) + 6 * np.eye(2, 4)[labels]
    write_arrays(folder / "features" / f"{ARM.source}.npz", {"learn": x[learning], "test": x[tested]})
    write_arrays(found.cell(ARM, "clean"), {"probabilities": np.eye(2)[labels[tested]][None]})
    return found


def test_limits_are_told_of_items_of_any_kind() -> None:
    told = limits({"test": 60, "units": 60, "seeds": 3, "draws": 1, "labels": 9, "warnings": []}, [])
    assert len(told) == 3 and not any("picture" in sentence for sentence in told)


@pytest.mark.parametrize(("drawn", "right"), [("AB", 0.5), ("A", 0.0)])
def test_labels_of_one_class_or_none_end_nothing(tmp_path: Path, drawn: str, right: float) -> None:
    """All labels that are left without A are those of good items of B, or none is."""
    site = np.repeat(["A", "B"], 60)
    labels, test = np.where(site == "A", np.arange(120) % 2, 1), np.arange(120) % 3 == 0
    made = bench(tmp_path, site, labels, test)
    made = replace(made, draws=[made.draws[0][np.isin(site[made.draws[0]], list(drawn))]])
    found = domains.measure(made, [ARM])
    assert found is not None
    table = found.table.set_index(["setting", "domain"])["accuracy"]
    assert table["domain left out", "A"] == pytest.approx(right)
    assert table["domain left out", "B"] == 1.0
    [note] = [n for n in found.notes if n.startswith("Without A")]
    assert note.startswith("Without A no label shows bad")
    assert ("good, the one that is left, is the answer to every item" in note) == (drawn == "AB")


def test_differences_before_strangers_resample_their_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight films of ten frames each: all frames of a film are flagged, or none is."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    random, film = np.random.default_rng(0), np.arange(80) // 10
    for i in range(80):
        Image.fromarray(random.integers(0, 256, (8, 8)).astype("uint8"), "L").save(tmp_path / f"{i:02d}.png")
    named = {"path": [f"{i:02d}.png" for i in range(80)], "group": [f"film {f}" for f in film]}
    pd.DataFrame(named).to_csv(tmp_path / "films.csv", index=False)
    pd.DataFrame(named).drop(columns="group").to_csv(tmp_path / "frames.csv", index=False)
    places = {name: str(tmp_path / f"{name}.csv") for name in ("films", "frames")}
    flagged = {"simclr": film < 6, "random": film >= 5}

    def scores(_: Bench, s: Subject, *rest: object) -> dict[str, tuple[np.ndarray, ...]]:
        return {"knn": (np.zeros(20), np.zeros(20), flagged[s.arm].astype(float))}

    monkeypatch.setattr(strangers, "_scores", scores)
    made: Any = SimpleNamespace(prepared=SimpleNamespace(prep=Prep(8, 1)), draws=[np.arange(4)])
    arms = [replace(ARM, arm=name) for name in flagged]
    table = strangers.measure(made, arms, places).differences
    mine = table[table["arm_a"] == "simclr"].set_index("strangers")
    wide = mine["high"] - mine["low"]
    assert (mine["difference"] == 0.375).all()
    assert wide["films"] > 2.5 * wide["frames"]


def test_sets_of_strangers_with_files_of_the_same_names_are_scored_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of one set is never read as that of another."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    for name, grey in (("dark", 20), ("light", 220)):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(np.full((8, 8), grey, "uint8"), "L").save(tmp_path / name / f"{i}.png")
    codes: list[str] = []

    def scores(_: Bench, s: Subject, draw: int, code: str, store: Store) -> dict[str, tuple[np.ndarray, ...]]:
        codes.append(code)
        return {"knn": (np.zeros(5), np.zeros(5), store.array.mean((1, 2, 3)))}

    monkeypatch.setattr(strangers, "_scores", scores)
    made: Any = SimpleNamespace(prepared=SimpleNamespace(prep=Prep(8, 1)), draws=[np.arange(4)])
    places = {name: str(tmp_path / name) for name in ("dark", "light")}
    for _ in range(2):
        strangers.measure(made, [ARM], places)
    assert len(set(codes)) == 2 and codes[:2] == codes[2:]


def test_answers_that_are_not_finite_are_wrong_in_every_domain(tmp_path: Path) -> None:
    site, labels = np.repeat(["A", "B"], 60), np.arange(120) % 2
    made = bench(tmp_path, site, labels, np.arange(120) % 3 == 0)
    write_arrays(made.cell(ARM, "clean"), {"probabilities": np.full((1, 40, 2), np.nan)})
    found = domains.measure(made, [ARM])
    assert found is not None
    assert found.table.set_index(["setting", "domain"]).loc["all domains", "accuracy"].eq(0).all()


def test_copies_of_the_test_items_are_made_a_kind_at_a_time() -> None:
    """Of each kind no more stays in memory than what is shown of it."""

    class Worse:
        def corrupted(self, kind: str, severity: int, looks: object) -> Store:
            return Store(np.full((300, 1, 64, 64), int(kind), np.uint8))

        prepared = SimpleNamespace(test=np.arange(300))

    arm: Any = SimpleNamespace(recipe=SimpleNamespace(looks=lambda: None))
    tracemalloc.start()
    made = representation._copies(Worse(), [str(k) for k in range(8)], arm)  # type: ignore[arg-type]
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(made.array[:, 0, 0, 0], np.arange(300) % 8)
    assert most < 3.5 * made.array.nbytes


def test_what_measuring_strangers_would_refuse_is_refused_before(tmp_path: Path) -> None:
    """Two labels a class leave one to learn from, which tells no detector how far a class reaches."""
    items = pd.DataFrame({"group": pd.array([None] * 6, dtype="str")})
    table = SimpleNamespace(items=items, labels=np.array([0, 0, 1, 1, 1, 1]), modality="image")
    made: Any = SimpleNamespace(table=table)
    (tmp_path / "series").mkdir()
    Image.fromarray(np.zeros((8, 8), "uint8"), "L").save(tmp_path / "one.png")
    pd.DataFrame({"time": range(20), "a": range(20)}).to_csv(tmp_path / "series" / "a.csv", index=False)
    strangers.check(made, [np.arange(6)], [str(tmp_path / "one.png")])
    with pytest.raises(UserError, match="holds recordings, and the data pictures; give folders of pictures"):
        strangers.check(made, [np.arange(6)], [str(tmp_path / "series")])
    with pytest.raises(UserError, match="leave one of each class"):
        strangers.check(made, [np.arange(4)], [str(tmp_path / "one.png")])


def test_a_folder_of_other_domains_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes without a domain are kept by its number, which is another one's when names change."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    for i in range(8):
        Image.fromarray(np.full((8, 8), 9 * i, "uint8"), "L").save(tmp_path / f"{i}.png")
    named = pd.DataFrame({"path": [f"{i}.png" for i in range(8)], "label": list("ab") * 4})
    named["split"] = ["train", "train", "test", "test"] * 2
    asked = {"labels": 1.0, "supervised": "", "precision": "auto"}
    for said, first in (("before", "north"), ("after", "zenith")):
        named["domain"] = [first] * 4 + ["south"] * 4
        named.to_csv(tmp_path / "items.csv", index=False)
        ready = prepare(tmp_path / "items.csv", size=8)
        made = Bench(tmp_path / "out", ready, [ready.labelled], SimpleNamespace())  # type: ignore[arg-type]
        if said == "before":
            _claim(made, "items.csv", [], asked)
            _claim(made, "items.csv", [], asked)
            with pytest.raises(UserError, match="differ in precision"):
                _claim(made, "items.csv", [], asked | {"precision": "fp32"})
    with pytest.raises(UserError, match="differ in data: domains"):
        _claim(made, "items.csv", [], asked)


def test_what_the_target_alone_measures_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hospital has a variable that no other has: the others' means and spreads say so, whatever its units."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    rows = [
        (p, "ab"[p % 2], h, 80.0 + p + h, 250.0 + h if p % 2 else None, "xy"[p // 2 % 2])
        for p in range(40)
        for h in range(8)
    ]
    names = ["patient", "hospital", "time", "hr", "platelets", "label"]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "ward.csv", index=False)
    ready = prepare(tmp_path / "ward.csv")
    away, home = crossings(ready, ["b"])[0].source, crossings(ready, ["a"])[0].source
    assert away.std[2] == -1 and home.std[2] > 0 and ready.std[2] > 0
    assert away.std[1] > 0


@pytest.mark.usefixtures("own_cache")
def test_a_run_whose_method_was_rewritten_is_another(digits: Path, tmp_path: Path) -> None:
    """Its settings are the same."""
    own, text = tmp_path / "mine.py", (Path(__file__).parents[2] / "examples" / "turns.py").read_text("utf-8")
    seen = []
    for name, body in (("a", text), ("b", text.replace("functional.cross_entropy(", "3 * functional.cross_entropy("))):
        own.write_text(body)
        setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / name))
        how = Training(threads=1, batch_size=8)
        pretrain(str(digits), method=str(own), setup=setup, budget=Budget(steps=1), training=how)
        seen += [s for s in find([str(tmp_path / name)]) if s.folder]
    assert dict(seen[0].recipe.numbers()) == dict(seen[1].recipe.numbers())
    assert _weights(seen[0]) != _weights(seen[1])
