"""A whole comparison on real digits: equal budgets, nested draws, resumed after a kill, refused in words."""

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from unlabeled import UserError, cli
from unlabeled.alone import alone
from unlabeled.data.prepare import prepare
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study import conduct, fits
from unlabeled.study.pace import TRIALS
from unlabeled.training.devices import open_device
from unlabeled.training.loop import embed as embed_rows
from unlabeled.training.run import Run
from unlabeled.verbs.compare import Comparison, compare
from unlabeled.verbs.embed import embed
from unlabeled.verbs.evaluate import evaluate
from unlabeled.verbs.pretrain import pretrain

ENCODER = "vit(width=32, depth=1, heads=2, patch_size=4)"
TRAINING = Training(threads=1, precision="fp32", device="cpu")
VIEWS = Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0)


pytestmark = pytest.mark.usefixtures("own_cache")


def run(data: Path, out: Path, steps: int = 30) -> Comparison:
    return compare(
        str(data),
        methods=("simclr", "mae"),
        labels=(20, 1.0),
        seeds=2,
        draws=2,
        protocols=("linear", "knn", "finetune(steps=10, trials=1)"),
        setup=Setup(encoder=ENCODER, size=16, out=str(out)),
        budget=Budget(steps=steps),
        training=TRAINING,
        augmentation=VIEWS,
    )


@pytest.fixture(scope="module")
def study(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return run(digits, tmp_path_factory.mktemp("work") / "study")


def test_every_arm_stands_in_the_table(study: Comparison) -> None:
    arms = set(study.summary["arm"])
    assert arms == {"simclr", "mae", "random", "supervised", "pca"}
    accuracy = study.summary[study.summary["metric"] == "accuracy"]
    assert (accuracy["low"] <= accuracy["mean"]).all() and (accuracy["mean"] <= accuracy["high"]).all()
    counts = accuracy.set_index(["arm", "protocol", "labels"])["n"]
    assert counts["simclr", "linear", 20] == 4 and counts["simclr", "linear", 1437] == 2  # all labels: one draw


def test_copies_across_the_split_are_told_before_and_after(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes an answer wrong stands in it, and is said before minutes are spent."""
    said: list[str] = []
    monkeypatch.setattr("unlabeled.progress.say", said.append)
    data = tmp_path / "data"
    for kind in "01":
        for split, few in (("train", 40), ("test", 10)):
            (data / split / kind).mkdir(parents=True)
            for picture in sorted((digits / split / kind).iterdir())[:few]:
                shutil.copy(picture, data / split / kind)
        for picture in sorted((digits / "train" / kind).iterdir())[:4]:
            shutil.copy(picture, data / "test" / kind / f"again_{picture.name}")
    found = compare(
        str(data),
        methods=("simclr",),
        labels=(1.0,),
        seeds=1,
        draws=1,
        protocols=("linear",),
        setup=Setup(encoder="cnn(width=4, stages=2)", size=16, out=str(tmp_path / "study")),
        budget=Budget(steps=2),
        training=TRAINING,
    )
    [early] = [i for i, words in enumerate(said) if words.startswith("mind: test pictures are there outside the test")]
    assert early < next(i for i, words in enumerate(said) if "opening the test labels" in words)
    assert any(limit.startswith("Test pictures are there outside the test split too") for limit in found.answer.limits)


def test_summary_is_the_mean_of_the_cells(study: Comparison) -> None:
    table = pd.read_csv(study.folder / "table.csv")
    cells = table[(table["metric"] == "accuracy")].groupby(["arm", "protocol", "labels"])["value"].mean()
    summary = study.summary[study.summary["metric"] == "accuracy"].set_index(["arm", "protocol", "labels"])["mean"]
    pd.testing.assert_series_equal(cells.sort_index(), summary.sort_index(), check_names=False, atol=1e-5)


def test_predictions_are_what_the_table_scores(study: Comparison) -> None:
    """An accuracy recomputed by hand from the files of a cell."""
    with np.load(study.folder / "test.npz") as test:
        labels = test["labels"]
    with np.load(study.folder / "predictions" / "simclr-20-s0-d1-linear.npz") as cell:
        by_hand = float(np.mean([p.argmax() == y for p, y in zip(cell["probabilities"], labels, strict=True)]))
    table = pd.read_csv(study.folder / "table.csv")
    row = table[(table["arm"] == "simclr") & (table["labels"] == 20) & (table["seed"] == 0) & (table["draw"] == 1)]
    row = row[(row["protocol"] == "linear") & (row["metric"] == "accuracy")]
    assert row["value"].item() == pytest.approx(by_hand, abs=1e-6)


def test_the_answer_names_a_contender_and_its_limits(study: Comparison) -> None:
    assert study.answer.winner in set(study.summary["arm"])
    assert study.answer.winner in study.answer.sentence and "20 labels" in study.answer.sentence
    assert any("2 pretraining seeds" in limit for limit in study.answer.limits)
    assert study.report.is_file() and study.answer.winner in study.report.read_text("utf-8")


def test_all_methods_got_the_same_budget(study: Comparison) -> None:
    costs = pd.read_json(study.folder / "costs.json")
    pretrained = costs[costs["stage"] == "pretrain"]
    assert pretrained["items_seen"].unique().tolist() == [30 * 64]
    fine = costs[costs["arm"].str.contains("finetune")].groupby("arm")["steps"].sum()
    assert fine.nunique() == 1


def test_the_written_config_repeats_the_study(study: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    config = yaml.safe_load((study.folder / "config.yaml").read_text("utf-8"))
    assert config["methods"] == ["simclr", "mae"] and config["steps"] == 30 and config["encoder"] == ENCODER
    before = (study.folder / "summary.csv").read_bytes()
    assert cli.run(["compare", "--config", str(study.folder / "config.yaml")]) == 0
    assert study.answer.sentence in capsys.readouterr().out
    assert (study.folder / "summary.csv").read_bytes() == before


def test_a_second_call_trains_nothing(
    study: Comparison, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "study"
    shutil.copytree(study.folder, whole)

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a cell that stands was made again")

    monkeypatch.setattr(fits, "write_arrays", never)
    again = run(digits, whole)
    assert again.answer.sentence == study.answer.sentence


def test_killed_in_the_middle_it_ends_the_same(study: Comparison, digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    child = os.fork()
    if child == 0:
        run(digits, out)
        os._exit(0)
    deadline = time.monotonic() + 120
    while len(list(out.glob("predictions/*.npz"))) < 7 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert 0 < len(list(out.glob("predictions/*.npz"))) < len(list(study.folder.glob("predictions/*.npz")))
    again = run(digits, out)
    pd.testing.assert_frame_equal(again.summary, study.summary)


def test_another_study_does_not_overwrite_this_one(study: Comparison, digits: Path) -> None:
    with pytest.raises(UserError, match="differs in"):
        run(digits, study.folder, steps=31)


def test_a_mistake_in_the_last_method_is_told_before_the_first_one_learns(digits: Path, tmp_path: Path) -> None:
    """An encoder that mae cannot take, and settings of a protocol that is used hours later."""
    for number, wrong in enumerate((("mae", "linear"), ("byol", "finetune(smoothing=2)"))):
        setup = Setup(encoder="test_resnet", size=16, out=str(tmp_path / str(number)))
        with pytest.raises(UserError, match=r"take --encoder vit|smoothing is 2"):
            compare(
                str(digits), methods=("simclr", wrong[0]), labels=(20,), seeds=1, draws=1, protocols=(wrong[1],),
                setup=setup, budget=Budget(steps=2), training=TRAINING,
            )  # fmt: skip
        assert not (tmp_path / str(number)).exists()


@pytest.mark.parametrize("labels", [(), (float("nan"),), (2000,), (0,)])
def test_label_budgets_that_cannot_be_drawn_are_refused(
    labels: tuple[float, ...], digits: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no label budget|cannot draw|labels got nan"):
        compare(
            str(digits), methods=("simclr",), labels=labels, protocols=("linear",), training=TRAINING,
            setup=Setup(encoder=ENCODER, size=16, out=str(tmp_path / "study")), budget=Budget(steps=2),
        )  # fmt: skip
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize("fault", ["one class", "no labels", "class without training item"])
def test_what_cannot_be_compared_is_refused_in_words(fault: str, digits: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(digits / "train" / "0", data / "train" / "0")
    shutil.copytree(digits / "test" / "0", data / "test" / "0")
    if fault == "no labels":
        shutil.rmtree(data)
        shutil.copytree(digits / "train" / "0", data)
    if fault == "class without training item":
        shutil.copytree(digits / "train" / "1", data / "train" / "1")
        shutil.copytree(digits / "test" / "2", data / "test" / "2")
    words = {"one class": 'only the class "0"', "no labels": "no labels", "class without training item": "the class 2"}
    with pytest.raises(UserError, match=words[fault]):
        run(data, tmp_path / "study")


def test_pretrain_evaluate_embed(digits: Path, tmp_path: Path) -> None:
    """The three verbs one after the other, as a user types them."""
    trained = pretrain(
        str(digits),
        method="simclr(temperature=0.5)",
        setup=Setup(encoder=ENCODER, size=16, out=str(tmp_path / "run")),
        budget=Budget(steps=20),
        training=TRAINING,
        augmentation=VIEWS,
    )
    assert trained.finished and trained.recipe.method.settings == {"temperature": 0.5}
    found = evaluate(str(tmp_path / "run"), str(digits), labels=(50,), draws=2, training=TRAINING)
    assert set(found.summary["arm"]) == {"simclr", "random"}
    assert any("50 simclr" in line for line in found.lines())
    other = tmp_path / "other" / digits.name
    shutil.copytree(digits, other)
    for before, after in (("3", "x"), ("8", "3"), ("x", "8")):
        (other / "train" / before).rename(other / "train" / after)
    with pytest.raises(UserError, match="results on data that had other training items"):
        evaluate(str(tmp_path / "run"), str(other), labels=(50,), draws=2, training=TRAINING)
    features = embed(str(tmp_path / "run"), str(digits / "test" / "3"), out=str(tmp_path / "f.parquet"))
    stored = pd.read_parquet(tmp_path / "f.parquet")
    assert len(stored) == len(list((digits / "test" / "3").iterdir())) and stored.filter(regex=r"^f\d+$").shape[1] == 32
    assert np.allclose(stored["f0"], features.frame["f0"])
    with pytest.raises(UserError, match="give one of"):
        pretrain(str(digits), budget=Budget(steps=1, epochs=1.0))
    with pytest.raises(UserError, match="not the folder of a run"):
        embed(str(digits), str(digits))


def test_no_run_is_tested_on_what_it_has_seen(digits: Path, tmp_path: Path) -> None:
    """Where the data bring no test split, the seed of the call that trained draws it; a run of a study has another."""
    data = tmp_path / "data"
    for digit in "012":
        shutil.copytree(digits / "test" / digit, data / digit)
    setup = Setup(encoder=ENCODER, size=16, seed=5)
    trained = pretrain(
        str(data), setup=replace(setup, out=str(tmp_path / "run")), budget=Budget(steps=4), training=TRAINING,
    )  # fmt: skip
    whole = compare(
        str(data), methods=("simclr",), labels=(9,), seeds=2, draws=1, protocols=("linear",),
        setup=replace(setup, out=str(tmp_path / "study")), budget=Budget(steps=4), training=TRAINING,
    )  # fmt: skip
    for place in (trained.folder, whole.folder / "runs" / "simclr-s5", whole.folder / "runs" / "simclr-s6"):
        found = evaluate(str(place), str(data), labels=(9,), draws=1, protocols=("linear",), training=TRAINING)
        with (found.folder / "items.json").open() as file:
            assert json.load(file)["training items"] == trained.config["items"]
        assert not any("mind" in line for line in found.lines())
    shutil.copytree(digits / "test" / "3", data / "3")
    found = evaluate(
        str(trained.folder), str(data), draws=1, protocols=("linear",), out=str(tmp_path / "more"), training=TRAINING
    )
    assert any("it has seen them without labels" in line for line in found.lines())


def test_minutes_are_shared_alike_by_methods_and_supervised_training(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    compare(
        str(digits),
        methods=("simclr",),
        labels=(1.0,),
        seeds=1,
        draws=1,
        protocols=("linear", "finetune"),
        setup=Setup(encoder=ENCODER, size=16, out=str(out)),
        budget=Budget(minutes=0.05),
        training=TRAINING,
        augmentation=VIEWS,
    )
    pace = json.loads((out / "pace.json").read_text("utf-8"))
    assert pace["simclr"] > 0
    # a method spends a part of its minutes on pretraining, supervised training has them all for its fits
    supervised, fine_tuned = (
        fit["steps"] * (1 if fit.get("trials") == 1 else 1 + TRIALS)  # on a slow machine one rate is tried
        for fit in (pace["fits"]["supervised"], pace["fits"]["simclr"])
    )
    assert supervised > fine_tuned
    costs = {c["arm"]: c["steps"] for c in json.loads((out / "costs.json").read_text("utf-8"))}
    assert costs["supervised (finetune)"] == supervised
    table = pd.read_csv(out / "table.csv")
    fitted = table[table["metric"] == "fitted"]
    assert set(fitted["arm"]) == {"simclr", "supervised"} and fitted["value"].between(0, 1).all()


def test_in_python_a_path_and_one_name_alone_will_do(digits: Path, tmp_path: Path) -> None:
    """And a seed of ten digits, which scikit-learn's own random numbers do not take."""
    found = compare(
        digits,  # type: ignore[arg-type]
        methods="simclr", labels=np.array([20]), seeds=1, draws=1, protocols="linear", training=TRAINING,  # type: ignore[arg-type]
        setup=Setup(encoder=ENCODER, size=16, out=str(tmp_path / "study"), seed=9_876_543_210), budget=Budget(steps=2),
    )  # fmt: skip
    assert set(found.summary["arm"]) == {"simclr", "random", "pca"} and found.report.is_file()
    setup = Setup(encoder=ENCODER, size=16, out=str(tmp_path / "run"))
    trained = pretrain(digits, setup=setup, budget=Budget(steps=2), training=TRAINING)  # type: ignore[arg-type]
    assert trained.finished and trained.config["data"] == str(digits)


@pytest.mark.parametrize("budget", [Budget(epochs=float("nan")), Budget(epochs=float("inf")), Budget(minutes=-1)])
def test_a_budget_that_is_no_length_is_refused(budget: Budget, digits: Path, tmp_path: Path) -> None:
    setup = Setup(encoder=ENCODER, size=16, out=str(tmp_path / "run"))
    with pytest.raises(UserError, match="must be above 0"):
        pretrain(str(digits), setup=setup, budget=budget, training=TRAINING)


def test_nothing_is_embedded_by_a_run_that_has_not_begun(digits: Path, tmp_path: Path) -> None:
    """Killed before its first checkpoint it holds random weights, whose features look like any others."""
    setup = Setup(encoder=ENCODER, size=16, out=str(tmp_path / "run"))
    trained = pretrain(str(digits), setup=setup, budget=Budget(steps=2), training=TRAINING)
    (trained.folder / "checkpoint.safetensors").unlink()
    with pytest.raises(UserError, match="holds no trained weights yet"):
        embed(str(trained.folder), str(digits / "test" / "3"))


def test_what_came_later_has_no_share_of_the_minutes(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pretraining would be shorter than that of the others, and its fine-tuning as long as it likes."""
    monkeypatch.setattr(conduct, "TIMED", 20)  # fewer than the first class has: a step is timed on items of both
    data = tmp_path / "data"
    for digit in "01":
        shutil.copytree(digits / "test" / digit, data / digit)

    def few(budget: Budget, methods: tuple[str, ...], protocols: tuple[str, ...]) -> Comparison:
        setup = Setup(encoder=ENCODER, size=16, out=str(tmp_path / f"{budget.minutes}"))
        return compare(
            str(data), methods=methods, labels=(1.0,), seeds=1, draws=1, protocols=protocols, setup=setup,
            budget=budget, training=TRAINING,
        )  # fmt: skip

    minutes, steps = Budget(minutes=0.01), Budget(steps=3)
    few(minutes, ("simclr", "moco"), ("linear",))
    few(minutes, ("simclr",), ("linear",))
    few(minutes, ("simclr", "moco"), ("linear",))  # a narrower call has not taken its share away
    with pytest.raises(UserError, match=r"0\.01 minutes were shared without vicreg; .*--steps"):
        few(minutes, ("simclr", "vicreg"), ("linear",))
    with pytest.raises(UserError, match=r"0\.01 minutes were shared without the fine-tuning of simclr"):
        few(minutes, ("simclr",), ("linear", "finetune"))
    few(Budget(minutes=0.02), ("simclr",), ("linear", "finetune"))
    few(steps, ("simclr",), ("linear",))
    found = few(steps, ("simclr", "vicreg"), ("linear",))  # as many steps for each: nothing is shared
    assert {"simclr", "vicreg"} < set(found.summary["arm"])


def test_a_study_and_its_runs_are_left_to_the_process_that_is_at_them(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "study"
    with alone(out), pytest.raises(UserError, match=r"another process is writing into .*study;"):
        run(digits, out)
    assert not (out / "runs").exists()  # not even begun
    folder = tmp_path / "run"
    setup, budget = Setup(encoder=ENCODER, size=16, out=str(folder)), Budget(steps=4)
    with alone(folder), pytest.raises(UserError, match=r"another process is writing into .*run;"):
        pretrain(str(digits), method="simclr", setup=setup, budget=budget, training=TRAINING)
    assert pretrain(str(digits), method="simclr", setup=setup, budget=budget, training=TRAINING).finished
    with alone(tmp_path / "judged"), pytest.raises(UserError, match=r"another process is writing into .*judged;"):
        evaluate(str(folder), str(digits), protocols=("linear",), out=str(tmp_path / "judged"), training=TRAINING)


def test_of_many_unlabelled_items_features_of_some_are_read(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The labelled ones and some of the others, and each label stays beside its own item."""
    for number, file in enumerate(sorted((digits / "train").rglob("*.png"))[::3]):
        to = tmp_path / "data" / (file.parent.name if number % 6 == 0 else "") / f"{number}.png"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, to)
    monkeypatch.setattr("unlabeled.data.prepare.READ", 100)
    out = tmp_path / "study"

    def again() -> pd.DataFrame:
        return compare(
            str(tmp_path / "data"),
            methods=("simclr",),
            labels=(1.0,),
            seeds=1,
            draws=1,
            protocols=("linear", "propagate"),
            setup=Setup(encoder=ENCODER, size=16, out=str(out)),
            budget=Budget(steps=3),
            training=TRAINING,
            augmentation=VIEWS,
        ).summary

    first = again()
    ready = prepare(tmp_path / "data", size=16)
    ours = Run.open(out / "runs/simclr-s0")
    device = open_device(TRAINING)
    own = embed_rows(device.place(ours.encoder()), ours.modality(), ready.store, ready.labelled, device)
    stored = out / "features/simclr-s0.npz"
    with np.load(stored) as arrays:
        assert len(arrays["learn"]) == len(ready.labelled) + 100 < len(ready.learning)
        read = arrays["learn"][np.searchsorted(ready.pool, ready.labelled)]
        np.testing.assert_allclose(read, own.numpy(), atol=1e-5)
        fits.write_arrays(stored, {"learn": arrays["learn"][::-1][:50], "test": arrays["test"]})
    shutil.rmtree(out / "predictions")
    pd.testing.assert_frame_equal(again(), first)
