"""The styled probe: a light that it was not shown costs it less, and studies treat it as a frozen protocol."""

from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled.data.prepare import Prepared
from unlabeled.errors import UserError
from unlabeled.protocols.linear import Linear
from unlabeled.protocols.styled import Styled
from unlabeled.settings import Augmentation, Budget, Setup, Training
from unlabeled.study.plan import arms, compose, method_and_encoder
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, embed
from unlabeled.verbs.compare import compare

TRAINING = Training(threads=1, precision="fp32", device="cpu")
VIEWS = Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0)


def test_another_light_costs_it_less(ready: Prepared) -> None:
    """Random features, 300 labels; held-out training digits under light that neither probe was fitted on."""
    device = open_device(TRAINING)
    recipe = compose(ready, *method_and_encoder("simclr", "test_resnet"), VIEWS, TRAINING, 1, 0)
    encoder, looks = recipe.build_encoder().eval(), recipe.looks()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    rows, labels = ready.labelled, ready.table.labels
    few = np.random.default_rng(0).permutation(rows)[:300]
    rest = np.setdiff1d(rows, few)
    plain = Linear().fit(embed(encoder, looks, ready.store, few, device).numpy(), labels[few], seed=0)
    styled = Styled(copies=4).fit(encoder, Items(ready.store, few), labels[few], looks, device)
    raw = looks.at(5, 0).corrupt(ready.store.batch(rest), "contrast", 4)
    with torch.no_grad():
        x = encoder(looks.plain(raw)).numpy()
    lost = {}
    for name, probe in (("plain", plain), ("styled", styled.probe)):
        clean = embed(encoder, looks, ready.store, rest, device).numpy()
        right = [float((probe.predict(f).argmax(1) == labels[rest]).mean()) for f in (clean, x)]
        lost[name] = right[0] - right[1]
    assert lost["styled"] < lost["plain"] - 0.05, lost
    found = styled.predict(Items(ready.store, rest), looks, device)
    assert found.shape == (len(rest), 10) and np.allclose(found.sum(1), 1, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_equal_seeds_give_equal_probes(ready: Prepared) -> None:
    device = open_device(TRAINING)
    recipe = compose(ready, *method_and_encoder("simclr", "test_resnet"), VIEWS, TRAINING, 1, 0)
    encoder, looks, few = recipe.build_encoder(), recipe.looks(), ready.labelled[::20]

    def fit(seed: int) -> np.ndarray:
        y = ready.table.labels[few]
        return Styled(copies=1).fit(encoder, Items(ready.store, few), y, looks, device, seed=seed).probe.weights

    assert np.array_equal(fit(0), fit(0)) and not np.allclose(fit(0), fit(1))


def test_in_a_study_random_weights_stand_beside_it(ready: Prepared) -> None:
    every = arms(ready, ["simclr"], "test_resnet", ["styled"], VIEWS, TRAINING, 0)
    assert [a.name for a in every] == ["simclr", "random"]  # nothing supervised: the encoder is not changed


def test_compare_runs_it(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    found = compare(
        str(digits),
        methods=("simclr",),
        labels=(50,),
        seeds=1,
        draws=1,
        protocols=("linear", "styled"),
        setup=Setup(encoder="test_resnet", size=16, out=str(tmp_path / "study")),
        budget=Budget(steps=3),
        training=TRAINING,
    )
    accuracy = found.summary[found.summary["metric"] == "accuracy"]
    assert {(a, p) for a, p in zip(accuracy["arm"], accuracy["protocol"], strict=True)} >= {
        ("simclr", "styled"), ("random", "styled"), ("simclr", "linear"),
    }  # fmt: skip


def test_no_copies_are_refused() -> None:
    with pytest.raises(UserError, match="0 copies"):
        Styled(copies=0)
