"""What is damaged, asks for code, or cannot be promised is refused in one line, and nothing is left half done."""

import io
import json
import shutil
from contextlib import redirect_stderr
from pathlib import Path

import numpy as np
import pytest

import unlabeled as ul
from unlabeled import cli
from unlabeled.deploy import bundle, export


def test_damage_is_told_in_one_line(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hurt = tmp_path / "hurt.ul"

    def refused(what: str) -> str:
        assert cli.run(["load", str(hurt)]) == 2, what
        shown = capsys.readouterr()
        assert shown.out == "" and shown.err.count("\n") == 1
        shutil.rmtree(hurt)
        return shown.err

    shutil.copytree(model, hurt)
    data = bytearray((hurt / "weights.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (hurt / "weights.safetensors").write_bytes(data)
    assert "weights.safetensors is not as it was written; copy the bundle again" in refused("a flipped bit")
    shutil.copytree(model, hurt)
    (hurt / "reference.safetensors").unlink()
    assert "reference.safetensors is missing" in refused("a lost file")
    shutil.copytree(model, hurt)
    text = (hurt / "bundle.json").read_text()
    (hurt / "bundle.json").write_text(text.replace('"keep": 0.95', '"keep": 0.99'))
    assert "bundle.json is not as it was written" in refused("an edit")
    shutil.copytree(model, hurt)
    (hurt / "bundle.json").write_text(text[: len(text) // 2])
    assert "bundle.json cannot be read" in refused("cut short")
    shutil.copytree(model, hurt)
    (hurt / "bundle.json").write_text(text.replace('"format": 1', '"format": 7'))
    assert "has the format 7, written by unlabeled 0.1.0; this version reads up to 1" in refused("newer")
    shutil.copytree(model, hurt)
    (hurt / "bundle.json").write_text(text.replace('"format": 1', '"format": 0'))
    assert "make the bundle again from its run" in refused("older")
    hurt.mkdir()
    assert "is not the folder of a model" in refused("none")


def test_facts_that_another_hand_has_changed_are_one_line(model: Path, digits: Path, tmp_path: Path) -> None:
    """Their sums are right, and every fact in turn is away, or a word, a number, a list where it is none."""
    hurt = tmp_path / "hurt.ul"
    shutil.copytree(model, hurt)
    whole = json.loads((hurt / "bundle.json").read_text())
    held = ("classes", "temperature", "input", "conformal", "strangers", "recipe", "versions", "files", "name")
    places: list[tuple[str, ...]] = [(name,) for name in held]
    places += [("input", n) for n in whole["input"]] + [("recipe", n) for n in ("method", "encoder", "prep", "mean")]
    places += [("conformal", "quantile"), ("strangers", "threshold"), ("strangers", "sees")]
    passed = []
    for place in places:
        for new in ("away", "word", -7, [], {"a": 1}, None):
            facts = json.loads(json.dumps(whole))
            inside = facts
            for name in place[:-1]:
                inside = inside[name]
            old = inside[place[-1]]
            if type(old) is type(new) or (isinstance(old, float) and new == -7):
                continue
            inside[place[-1]] = new
            if new == "away":
                del inside[place[-1]]
            facts["sum"] = bundle._sum_of(facts)
            (hurt / "bundle.json").write_text(json.dumps(facts))
            try:
                ul.load(str(hurt), engine="torch").predict(str(digits / "test" / "3"))  # type: ignore[union-attr]
                passed.append((place, new))
            except ul.UserError as told:
                assert "\n" not in str(told)
    assert not passed


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("classes", [], "its classes are none, or have one name"),
        ("classes", ["a", 3], r"classes\[1\] is 3 where a word belongs"),
        ("conformal", {"coverage": 0.9, "quantile": [0.5]}, "it has limits of label sets for 1 classes and is of 10"),
        ("temperature", 0, "temperature is 0"),
        ("notes", "none", 'notes is "none" where a list belongs'),
        ("test", {"n": 4}, "test.size is missing"),
    ],
)
def test_what_is_odd_is_named(model: Path, tmp_path: Path, name: str, told: object, words: str) -> None:
    hurt = tmp_path / "hurt.ul"
    shutil.copytree(model, hurt)
    facts = json.loads((hurt / "bundle.json").read_text()) | {name: told}
    facts["sum"] = bundle._sum_of(facts)
    (hurt / "bundle.json").write_text(json.dumps(facts))
    with pytest.raises(ul.UserError, match=f"hurt.ul is no model that can be used: {words}; copy the bundle again"):
        bundle.Bundle.open(hurt)


@pytest.mark.parametrize("place_of", ["encoder", "modality", "input"])
@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_code_that_comes_with_a_model_is_never_run(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], place_of: str, engine: str
) -> None:
    hurt, ran = tmp_path / "hurt.ul", tmp_path / "ran"
    shutil.copytree(model, hurt)
    code = hurt / "net.py"
    code.write_text(f"open({str(ran)!r}, 'w').close()\n\n\nclass Net: ...\n")
    facts = json.loads((hurt / "bundle.json").read_text())
    if place_of == "encoder":
        facts["recipe"]["encoder"] = {"name": str(code), "settings": {}}
    else:
        (facts["recipe"] if place_of == "modality" else facts["input"])["modality"] = str(code)
    facts["sum"] = bundle._sum_of(facts)
    (hurt / "bundle.json").write_text(json.dumps(facts))
    told = json.loads((hurt / "model.onnx.json").read_text())
    (hurt / "model.onnx.json").write_text(json.dumps(told | {"of": facts["sum"]}))
    assert cli.run(["predict", str(hurt), str(tmp_path), "--engine", engine]) == 2
    assert "a model is data alone; do not use it" in capsys.readouterr().err and not ran.exists()


def test_a_lone_file_is_data_alone_too(model: Path, tmp_path: Path) -> None:
    import onnx

    proto = onnx.load(str(model / "model.onnx"))
    facts = json.loads(proto.metadata_props[0].value)
    facts["input"]["modality"] = str(tmp_path / "kind.py")
    export.stamp(proto, facts)
    onnx.save(proto, str(tmp_path / "m.onnx"))
    with pytest.raises(ul.UserError, match="a model is data alone"):
        ul.load(str(tmp_path / "m.onnx"))


def test_what_cannot_be_promised_is_told_before_the_work(run: Path, digits: Path, tmp_path: Path) -> None:
    def refused(told: str, *flags: str) -> None:
        capture = io.StringIO()
        with redirect_stderr(capture):
            assert cli.run(["finetune", str(run), str(digits), "--out", str(tmp_path / "m.ul"), *flags]) == 2
        assert told in capture.getvalue()

    refused("keep is 1; give a share between 0 and 1", "--keep", "1")
    refused('there is no detector "mahalnobis"', "--detector", "mahalnobis")
    refused("keep is 0; give", "--keep", "0")
    refused("seed is -1; give 0 or more", "--seed", "-1")


@pytest.mark.parametrize("verb", ["drift", "sample"])
def test_a_seed_below_nothing_is_one_line(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([verb, "m.ul", *(["new"] if verb == "drift" else []), "--seed", "-1"]) == 2
    assert capsys.readouterr().err == "unlabeled: seed is -1; give 0 or more.\n"


def test_an_evaluation_of_no_draws_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["evaluate", "run", "data", "--draws", "0"]) == 2
    assert capsys.readouterr().err == "unlabeled: 0 draws were asked for; give one or more.\n"


def test_a_place_that_is_taken_is_left_alone(model: Path, run: Path, digits: Path) -> None:
    before = bundle.digest(model / "bundle.json")
    with pytest.raises(ul.UserError, match="is there already"):
        ul.finetune(str(run), str(digits), out=str(model))
    assert bundle.digest(model / "bundle.json") == before


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        bundle.write(tmp_path / "m.ul", {}, {"a": np.zeros(2)}, {}, {"card.md": None})  # type: ignore[dict-item]
    assert list(tmp_path.iterdir()) == []


def test_no_pickle_is_ever_read() -> None:
    folder = Path(bundle.__file__).parent
    assert not [p for p in folder.rglob("*.py") if "pickle" in p.read_text().replace("no pickle", "")]
