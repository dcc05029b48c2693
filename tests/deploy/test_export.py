"""The exported file answers as torch does, alone, and without torch; a file that does not is never left behind."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import unlabeled as ul
from unlabeled import cli
from unlabeled.deploy import export, int8
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.decide import Limits
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.engines.onnx import Onnx
from unlabeled.deploy.export import Parity
from unlabeled.deploy.net import Net
from unlabeled.settings import Budget, Handover, Setup, Training
from unlabeled.verbs.export import Exported, collect

pytest.importorskip("onnxruntime")


def test_the_bundle_brings_a_file_that_answers_as_torch(model: Path, digits: Path) -> None:
    files = digits / "test"
    exact, fast = (ul.load(str(model), engine=e).predict(files) for e in ("torch", "onnx"))
    assert (exact["label"] == fast["label"]).all() and (exact["abstain"] == fast["abstain"]).all()
    columns = [c for c in exact.columns if c.startswith("p(")]
    assert np.abs(exact[columns].to_numpy() - fast[columns].to_numpy()).max() < 1e-4
    lone = ul.load(str(model / "model.onnx"))
    assert (lone.predict(files)["why"] == exact["why"]).all(), "limits travel in the file"
    with pytest.raises(ul.UserError, match="remembers no items"):
        lone.similar(files)


@pytest.mark.parametrize("items", [1, 2, 5, 33])
def test_a_batch_may_have_any_size(model: Path, items: int) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (items, 1, 16, 16), dtype=np.uint8)
    engine = Onnx(model / "model.onnx")
    whole, alone = engine.run(raw), engine.run(raw[-1:])
    assert whole.probabilities.shape == (items, 10)
    assert np.abs(whole.probabilities[-1] - alone.probabilities[0]).max() < 1e-5


@pytest.mark.parametrize(("items", "sizes"), [(1, {1}), (2, {1, 2}), (32, {1, 32}), (64, {1, 32}), (70, {1, 32, 6})])
def test_every_proof_is_made_on_one_item_alone_too(items: int, sizes: set[int]) -> None:
    """A file that answers otherwise on a lone item, which is what a server mostly asks, is found out."""
    asked = set[int]()

    def run(raw: np.ndarray) -> Answers:
        asked.add(len(raw))
        p = np.full((len(raw), 2), 0.5, np.float32) if len(raw) == 1 else raw.astype(np.float32)
        return Answers(p, p, p[:, 0])

    raw = np.eye(2, dtype=np.uint8)[np.arange(items) % 2]
    found = export.answers(run, raw)
    assert asked == sizes and len(found.probabilities) == items
    assert found.probabilities[0].tolist() == [0.5, 0.5] and (found.probabilities[1:] == raw[1:]).all()


def test_it_runs_where_there_is_no_torch(model: Path, digits: Path, tmp_path: Path) -> None:
    script = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
from unlabeled import cli
assert cli.run(["predict", sys.argv[1], sys.argv[2], "--engine", "onnx", "-o", sys.argv[3]]) == 0
assert not {"torch", "timm"} & set(sys.modules)
"""
    out = tmp_path / "out.csv"
    command = [sys.executable, "-W", "error", "-c", script, str(model), str(digits / "test" / "4"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert pd.read_csv(out)["label"].notna().all()


def test_a_file_that_differs_is_refused_and_not_left(
    model: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Onnx.run
    target = tmp_path / "bad.onnx"

    def refused(change: float) -> str:
        def off(self: Onnx, raw: np.ndarray) -> Answers:
            found = real(self, raw)
            p = found.probabilities.copy()
            p[min(3, len(p) - 1)] += np.eye(10, dtype=np.float32)[0] * change
            return Answers(p, found.features, found.strangeness)

        monkeypatch.setattr(Onnx, "run", off)
        words = ["export", str(model), str(digits / "test"), "--items", "20", "-o", str(target)]
        assert cli.run(words) == 2
        assert list(tmp_path.iterdir()) == []
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.strip().splitlines()[-1].startswith("unlabeled: bad.onnx")
        return shown.err

    assert "differs from torch by 0.0005 on" in refused(5e-4)
    assert "decides otherwise than torch on" in refused(2.0)
    assert "decides otherwise than torch on" in refused(float("nan"))


def test_a_file_of_another_bundle_is_not_taken(model: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "m.ul"
    shutil.copytree(model, copy)
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes() + b"x")
    with pytest.raises(ul.UserError, match="is damaged or of another bundle"):
        ul.load(str(copy), engine="onnx")
    (copy / "model.onnx").unlink()
    with pytest.raises(ul.UserError, match=r"holds no model\.onnx; run: unlabeled export"):
        ul.load(str(copy), engine="onnx")
    (tmp_path / "junk.onnx").write_bytes(b"no model")
    with pytest.raises(ul.UserError, match=r"cannot read .*junk\.onnx"):
        ul.load(str(tmp_path / "junk.onnx"))


def test_eight_bits_tell_their_cost(model: Path, digits: Path, tmp_path: Path) -> None:
    found = ul.export(str(model), str(digits), int8=True, items=200, out=str(tmp_path / "small.onnx"))
    assert found.cost is not None and found.cost.items == 100 and 0.2 < found.cost.smaller < 0.5
    lone = ul.load(str(found.file))
    table = lone.predict(digits / "test")
    exact = ul.load(str(model)).predict(digits / "test")
    assert np.allclose(table["strangeness"], exact["strangeness"], atol=1e-3)  # what tells strangers stays as it was
    assert found.cost.flagged_after == found.cost.flagged_before
    right = (table["label"] == table["path"].str.split("/").str[0]).mean()
    assert right == pytest.approx(found.cost.after, abs=0.12) and "accuracy" in found.lines()[-1]
    held = np.mean(
        [truth in inside for truth, inside in zip(table["path"].str.split("/").str[0], table["set"], strict=True)]
    )
    assert found.cost.held_after == pytest.approx(held, abs=0.12) and 0 < found.cost.held_before <= 1
    assert f"label sets hold the truth in {100 * found.cost.held_before:.1f} % to" in found.lines()[-1]
    assert "(of 100 with a label)" in found.lines()[-1]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.onnx"]
    with pytest.raises(ul.UserError, match="take --to onnx"):
        ul.export(str(model), str(digits), int8=True, to="torch")


def test_the_cost_of_eight_bits_says_of_how_many_labels_it_tells() -> None:
    """60 of 50,000 pictures have a label: of 250 that are checked there may be one."""
    p, limits = np.tile([[0.9, 0.1]], (250, 1)), Limits(("a", "b"), 0.9, np.full(2, 0.5), 1.0)
    seen = Answers(p, np.zeros((250, 1)), np.zeros(250))
    for labels, told in ((np.append(0, np.full(249, -1)), "accuracy 100.0 % to 100.0 %"), (np.full(250, -1), "")):
        cost = int8._cost(seen, seen, labels, limits, 0.5)
        line = Exported(Path(__file__), Parity(1, 0.0, 0.0, 0.0, "1.png", ()), cost).lines()[-1]
        assert told in line and ("(of 1 with a label)" in line) == bool(told) == ("accuracy" in line)


def test_few_test_items_are_joined_by_others(model: Path, digits: Path, tmp_path: Path) -> None:
    for split, count in (("train", 4), ("test", 1)):
        for folder in sorted((digits / split).iterdir())[:6]:
            (tmp_path / "few" / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                shutil.copy(file, tmp_path / "few" / split / folder.name)
    some = collect(Bundle.open(model), str(tmp_path / "few"), 500)
    assert len(some.raw) == 16 and sum(name.startswith("test/") for name in some.names) == 6
    assert len(collect(Bundle.open(model), str(tmp_path / "few"), 5).raw) == 5
    assert all(name.startswith("test/") for name in collect(Bundle.open(model), str(digits), 40).names)
    found = ul.export(str(model), str(tmp_path / "few"), int8=True, out=str(tmp_path / "small.onnx"))
    assert found.cost is not None and found.cost.items == 8


def test_a_folder_may_be_named_by_a_dot(
    model: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "m.ul"
    shutil.copytree(model, copy)
    monkeypatch.chdir(copy)
    found = ul.export(".", str(digits.resolve()), to="torch", items=4)
    assert found.file.resolve() == (tmp_path / "m.pt2").resolve() and found.file.is_file()


@pytest.mark.parametrize("items", [-1, 0])
def test_no_items_prove_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, items: int) -> None:
    monkeypatch.setattr(Bundle, "open", lambda folder: Bundle(Path(folder), {}))
    with pytest.raises(ul.UserError, match=f"{items} items were to prove it on; give one or more"):
        ul.export("m.ul", str(tmp_path), items=items)


def test_a_further_file_leaves_the_one_that_is_served_alone(
    model: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnx

    copy = tmp_path / "m.ul"
    shutil.copytree(model, copy)
    was = {p.name: p.read_bytes() for p in copy.iterdir()}
    write = export._write_onnx

    def otherwise(net: Any, made: Any, some: Any, part: Path) -> None:
        """As another version of torch would write it."""
        write(net, made, some, part)
        proto = onnx.load(str(part))
        proto.producer_version = "another"
        part.write_bytes(proto.SerializeToString())

    monkeypatch.setattr(export, "_write_onnx", otherwise)
    ul.export(str(copy), str(digits), items=4, out=str(copy / "again.onnx"))
    (copy / "again.onnx").unlink()
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == was
    ul.load(str(copy), engine="onnx")
    with pytest.raises(ul.UserError, match=r"is the float32 file that m\.ul is served by; take another --out"):
        ul.export(str(copy), str(digits), items=40, int8=True, out=str(copy / "model.onnx"))
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == was


def test_a_program_of_torch(model: Path, digits: Path, tmp_path: Path) -> None:
    found = ul.export(str(model), str(digits), to="torch", items=40, out=str(tmp_path / "m.pt2"))
    assert found.parity.flipped == () and found.parity.probability < 1e-5
    program = torch.export.load(found.file).module()
    raw = torch.randint(0, 256, (3, 1, 16, 16), dtype=torch.uint8)
    assert [tuple(t.shape) for t in program(raw)] == [(3, 10), (3, 96), (3,)]


def test_a_transformer_that_looks_at_smaller_views(digits: Path, tmp_path: Path, place: Path) -> None:
    """Its stored pictures are larger than its views, so that the resizing is in the file too."""
    setup = Setup(encoder="vit(width=32, depth=1, heads=2, patch_size=4)", size=8, out=str(tmp_path / "run"))
    ul.pretrain(str(digits), setup=setup, budget=Budget(steps=2), training=Training(threads=1))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["recipe"]["prep"]["size"] = 12
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    made = ul.finetune(
        str(tmp_path / "run"), str(digits), labels=300, out=str(tmp_path / "m.ul"), training=Training(threads=1),
        handover=Handover(detector="vim", onnx=False),
    )  # fmt: skip
    assert made.bundle.shape == (1, 12, 12)
    found = ul.export(str(tmp_path / "m.ul"), str(digits), items=50)
    assert found.parity.probability < 1e-5 and found.parity.strangeness < 1e-3
    assert export.WORST == 1e-4
    with pytest.raises(ul.UserError, match="one convolution alone"):  # it cuts the patches
        ul.export(str(tmp_path / "m.ul"), str(digits), items=50, int8=True, out=str(tmp_path / "small.onnx"))
    assert not (tmp_path / "small.onnx").exists()


def test_what_has_no_words_in_onnx_is_told_in_one_line(
    model: Path, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a model is whole, but for the one file, and no bug."""
    forward = Net.forward

    def strange(self: Net, raw: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        probabilities, features, strangeness = forward(self, raw)
        return probabilities, features.cummax(1).values, strangeness

    monkeypatch.setattr(Net, "forward", strange)
    with pytest.raises(ul.UserError, match=r"torch cannot write this model as ONNX .*cummax"):
        ul.export(str(model), str(digits), items=4, out=str(tmp_path / "m.onnx"))
    assert not list(tmp_path.iterdir())
