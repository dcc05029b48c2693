"""What stands in a folder of results is taken for a later call's own only where it was made of the same."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from unlabeled import UserError
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.training.run import Run
from unlabeled.verbs.compare import Comparison, compare
from unlabeled.verbs.evaluate import evaluate
from unlabeled.verbs.pretrain import pretrain

SMALL = "vit(width=32, depth=1, heads=2, patch_size=4)"
LARGER = "vit(width=48, depth=2, heads=2, patch_size=4)"
TRAINING = Training(threads=1, precision="fp32", device="cpu", batch_size=32)
TURNS = Path(__file__).parents[2] / "examples" / "turns.py"


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture(scope="module")
def few(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 of each of three digits, without a test split."""
    root = tmp_path_factory.mktemp("few")
    for digit in "012":
        (root / digit).mkdir()
        for picture in sorted((digits / "train" / digit).iterdir())[:40]:
            shutil.copy(picture, root / digit)
    return root


def study(data: Path, out: Path, method: str = "simclr", encoder: str = SMALL, steps: int = 6) -> Comparison:
    return compare(
        str(data),
        methods=(method,),
        labels=(9, 1.0),
        seeds=1,
        draws=1,
        protocols=("linear", "finetune(steps=4, trials=1)"),
        setup=Setup(encoder=encoder, size=16, out=str(out)),
        budget=Budget(steps=steps),
        training=TRAINING,
        augmentation=Augmentation(horizontal_flip=0.0, blur=0.0),
    )


def run(data: Path, out: Path, method: str = "simclr", seed: int = 0) -> Run:
    return pretrain(
        str(data),
        method=method,
        setup=Setup(encoder=SMALL, size=16, out=str(out), seed=seed),
        budget=Budget(steps=6),
        training=TRAINING,
    )


def figures(found: Comparison, arm: str) -> list[float]:
    return [float(v) for v in found.summary[found.summary["arm"] == arm]["mean"]]


def test_arms_of_another_encoder_are_not_taken_for_these(few: Path, tmp_path: Path) -> None:
    """`random` and `supervised` bear the same name whatever the encoder is."""
    first = study(few, tmp_path / "study")
    config = (first.folder / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"holds results of random that differ in encoder; .*random-"):
        study(few, tmp_path / "study", "vicreg", LARGER)
    assert (first.folder / "config.yaml").read_bytes() == config  # the call that was refused left no settings
    for arm in ("random", "supervised"):
        for path in first.folder.glob(f"*/{arm}-*"):
            path.unlink()
    again, fresh = (study(few, tmp_path / name, "vicreg", LARGER) for name in ("study", "other"))
    for arm in ("vicreg", "random", "supervised", "pca"):
        assert figures(again, arm) == figures(fresh, arm)
    assert figures(fresh, "random") != figures(first, "random")


def test_a_study_of_another_budget_keeps_its_settings(few: Path, tmp_path: Path) -> None:
    first = study(few, tmp_path / "study")
    config = (first.folder / "config.yaml").read_bytes()
    with pytest.raises(UserError, match="differs in its budget"):
        study(few, tmp_path / "study", steps=7)
    assert (first.folder / "config.yaml").read_bytes() == config


def test_figures_of_one_run_are_not_those_of_another(few: Path, tmp_path: Path) -> None:
    for name, method in (("a", "simclr"), ("b", "simclr(temperature=0.9)")):
        run(few, tmp_path / name, method)

    def judged(name: str, out: str) -> list[float]:
        found = evaluate(
            str(tmp_path / name), str(few), protocols=("linear",), out=str(tmp_path / out), training=TRAINING
        )
        return [float(v) for v in found.summary[found.summary["arm"] == "simclr"]["mean"]]

    first = judged("a", "out")
    with pytest.raises(UserError, match="holds results of simclr that differ in method"):
        judged("b", "out")
    assert judged("a", "out") == first != judged("b", "own")


def test_a_method_of_ones_own_that_was_changed_is_another(few: Path, tmp_path: Path) -> None:
    own, text = tmp_path / "mine.py", TURNS.read_text("utf-8")
    own.write_text(text)
    run(few, tmp_path / "run", str(own))
    study(few, tmp_path / "study", str(own))
    own.write_text("# a remark\n" + text)
    assert run(few, tmp_path / "run", str(own)).finished
    study(few, tmp_path / "study", str(own))
    own.write_text(text.replace("functional.cross_entropy(", "3 * functional.cross_entropy("))
    with pytest.raises(UserError, match=r"holds a run that differs in the text of .*mine\.py"):
        run(few, tmp_path / "run", str(own))
    with pytest.raises(UserError, match=r"holds results of .*mine\.py that differ in the text of .*mine\.py"):
        study(few, tmp_path / "study", str(own))
    for path in (tmp_path / "study").glob("*/*mine.py-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    study(few, tmp_path / "study", str(own))


@pytest.mark.parametrize(
    "name", ["features/simclr-s0.npz", "predictions/random-9-s0-d0-linear.npz", "runs/simclr-s0/metrics.jsonl"]
)
@pytest.mark.parametrize("left", [0.0, 0.5])
def test_what_a_power_cut_tore_is_made_anew(name: str, left: float, few: Path, tmp_path: Path) -> None:
    """A file that was renamed into place may be empty or cut when the machine went down before the disk had it."""
    first = study(few, tmp_path / "study")
    whole = (first.folder / name).read_bytes()
    (first.folder / name).write_bytes(whole[: int(left * len(whole))])
    again = study(few, tmp_path / "study")
    pd.testing.assert_frame_equal(again.summary, first.summary)


@pytest.mark.parametrize("name", ["items.json", "pace.json", "runs/simclr-s0/config.json"])
def test_torn_facts_of_a_study_are_told_in_one_line(name: str, few: Path, tmp_path: Path) -> None:
    first = study(few, tmp_path / "study")
    (first.folder / name).write_text("")
    with pytest.raises(UserError, match=f"cannot read .*{name}: .*; "):
        study(few, tmp_path / "study")


def test_groups_that_became_known_make_other_figures(few: Path, tmp_path: Path) -> None:
    """Inner folds keep groups together, so that a penalty that was chosen without them was chosen otherwise."""
    rows = [
        (str(path), path.parent.name, "test" if i % 4 == 0 else "train")
        for i, path in enumerate(sorted(few.rglob("*.png")))
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "split"])
    table.to_csv(tmp_path / "items.csv", index=False)
    run(tmp_path / "items.csv", tmp_path / "run")

    def judge(precision: str = "fp32") -> None:
        how = replace(TRAINING, precision=precision)  # type: ignore[arg-type]
        evaluate(
            str(tmp_path / "run"),
            str(tmp_path / "items.csv"),
            protocols=("linear",),
            out=str(tmp_path / "o"),
            training=how,
        )

    judge()
    with pytest.raises(UserError, match="holds results of simclr that differ in precision"):
        judge("bf16")
    table.assign(patient=[f"p{i // 3}" for i in range(len(table))]).to_csv(tmp_path / "items.csv", index=False)
    with pytest.raises(UserError, match="on data that had other groups"):
        judge()
