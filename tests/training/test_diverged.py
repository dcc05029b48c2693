"""A loss that is no number any more: which step it was, and whether something is kept."""

from pathlib import Path

import pytest
import torch

from unlabeled import UserError
from unlabeled.settings import Budget, Setup, Training
from unlabeled.training.health import Diverged, Health
from unlabeled.training.run import Run
from unlabeled.verbs.pretrain import pretrain

METHOD = """
import torch

from unlabeled.methods.simclr import SimCLR

class Burst(SimCLR):
    "Has no loss after so many steps, or no weights."
    steps = 0

    def loss(self, views):
        self.steps += 1
        return super().loss(views) * (float("nan") if self.steps > {good} else 1.0)

    def after_step(self, progress):
        if self.steps > {whole}:
            torch.nn.init.constant_(next(iter(self.projector.parameters())), float("nan"))
"""


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("saved", [0, 4])
def test_it_names_the_step_and_what_is_kept(
    saved: int, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of the diary are ten steps apart, and the seventh step is the first that is none."""
    (tmp_path / "burst.py").write_text(METHOD.format(good=6, whole=99))
    clock = iter(range(10_000))
    if saved:  # as if every fourth step lasted half a minute

        class Slow:
            perf_counter = staticmethod(lambda: 0.0)

            @staticmethod
            def monotonic() -> float:
                return 8.0 * next(clock)

        monkeypatch.setattr("unlabeled.training.run.time", Slow)
    setup = Setup(encoder="cnn(width=2, stages=1)", size=8, out=str(tmp_path / "run"))
    training = Training(batch_size=8, threads=1, precision="fp32", device="cpu")
    with pytest.raises(UserError, match=r"the loss became nan at step 7 \(learning rate") as told:
        pretrain(
            str(digits), method=str(tmp_path / "burst.py"), setup=setup, budget=Budget(steps=30), training=training
        )
    step = Run.open(tmp_path / "run").step
    assert (step > 0) == bool(saved)
    kept = f"the checkpoint of step {step} is kept" if saved else "there was no checkpoint yet"
    assert f"; {kept}; lower --lr" in str(told.value)


def test_the_config_of_a_run_that_another_hand_has_changed_is_one_line(tmp_path: Path) -> None:
    for text, words in (
        ("[]", "recipe is missing"), ('{"recipe": 3, "data": "x"}', "recipe is 3 where names with values belong")
    ):  # fmt: skip
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(UserError, match=f"cannot read .*config.json: {words}; delete its folder"):
            Run.open(tmp_path)
    (tmp_path / "config.json").write_text('{"recipe": {"method": {}}, "data": "x"}')
    with pytest.raises(UserError, match=r"the recipe in .*config.json cannot be read"):
        Run.open(tmp_path).recipe  # noqa: B018


def test_features_that_are_no_numbers_while_the_loss_still_is_one_are_told() -> None:
    """The step before a line of the diary is the one that spoils the weights."""
    with pytest.raises(Diverged, match="the features are no numbers any more after step 10"):
        Health(30).observe(9, 1.0, torch.full((8, 4), float("nan")), 0.0)


@pytest.mark.usefixtures("own_cache")
def test_a_run_that_differs_says_in_which_setting_and_one_that_was_moved_goes_on(digits: Path, tmp_path: Path) -> None:
    def learn(place: str, lr: float) -> Run:
        setup = Setup(encoder="cnn(width=2, stages=1)", size=8, out=str(tmp_path / place))
        training = Training(batch_size=8, threads=1, precision="fp32", device="cpu", lr=lr)
        return pretrain(str(digits), method="simclr", setup=setup, budget=Budget(steps=2), training=training)

    learn("run", 1e-3)
    kept = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UserError, match=r"holds a run that differs in training \(lr\); take another --out"):
        learn("run", 1e-4)
    (tmp_path / "run").rename(tmp_path / "moved")
    assert learn("moved", 1e-3).finished and (tmp_path / "moved" / "checkpoint.safetensors").read_bytes() == kept


@pytest.mark.usefixtures("own_cache")
def test_weights_that_are_no_numbers_are_not_kept(digits: Path, tmp_path: Path) -> None:
    """The projector's: the features are sound, and the loss would tell at the next step, which is not made."""
    (tmp_path / "burst.py").write_text(METHOD.format(good=99, whole=5))
    setup = Setup(encoder="cnn(width=2, stages=1)", size=8, out=str(tmp_path / "run"))
    training = Training(batch_size=8, threads=1, precision="fp32", device="cpu")
    with pytest.raises(UserError, match="the weights are no numbers any more after step 6; there was no checkpoint"):
        pretrain(str(digits), method=str(tmp_path / "burst.py"), setup=setup, budget=Budget(steps=6), training=training)
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()
