"""Fine-tuning: it makes a poor encoder better, leaves the given one alone, and knows only the classes it was shown."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabeled.data.prepare import Prepared
from unlabeled.encoders import Encoder, _build
from unlabeled.encoders.vit import ViT
from unlabeled.errors import UserError
from unlabeled.modalities import Modality
from unlabeled.protocols.finetune import Classifier, Finetune, start_from_probe
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training import optim
from unlabeled.training.devices import Device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe
from unlabeled.views import geometry

TRAINING = Training(threads=1, precision="fp32", device="cpu")


def weak(recipe: Recipe) -> Encoder:
    """Random weights with tiny features, as a short pretraining leaves them."""
    encoder = recipe.build_encoder()
    encoder.load_state_dict({k: v * 0.5 if v.ndim == 4 else v for k, v in encoder.state_dict().items()})
    return encoder


def test_a_poor_encoder_becomes_better_than_its_probe(ready: Prepared, recipe: Recipe, device: Device) -> None:
    """The head starts at the linear probe and must not be thrown off when small features grow."""
    rows = ready.labelled
    few, rest = rows[:: len(rows) // 200], np.setdiff1d(rows, rows[:: len(rows) // 200])
    y, truth = ready.table.labels[few], ready.table.labels[rest]
    encoder, looks = weak(recipe), recipe.looks()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    x, at = (embed(encoder, looks, ready.store, r, device).numpy() for r in (few, rest))
    probe = float((Linear().fit(x, y).predict(at).argmax(1) == truth).mean())
    model = Finetune(steps=150, encoder_lr=1.0).fit(encoder, Items(ready.store, few), y, looks, device)
    tuned = float((model.predict(Items(ready.store, rest), looks, device).argmax(1) == truth).mean())
    assert tuned > probe + 0.1, f"{probe:.3f} by the probe, {tuned:.3f} fine-tuned"
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())


def test_a_frozen_encoder_stays_as_it_was_with_its_batch_norms(ready: Prepared, recipe: Recipe, device: Device) -> None:
    rows = ready.labelled[::20]
    encoder, y = recipe.build_encoder(), ready.table.labels[rows]
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    fit = Finetune(steps=3, encoder_lr=0.0).fit(encoder, Items(ready.store, rows), y, recipe.looks(), device)
    assert not [k for k, v in fit.encoder.state_dict().items() if not torch.equal(v, before[k])]


def test_items_are_read_at_the_size_that_the_net_has_seen(ready: Prepared, recipe: Recipe, device: Device) -> None:
    """Maps of another size have another share of borders: a net that learnt on half the size is far worse there."""
    rows = ready.labelled
    few, rest = rows[:: len(rows) // 300], np.setdiff1d(rows, rows[:: len(rows) // 300])[:400]
    y, truth = ready.table.labels[few], ready.table.labels[rest]
    large = replace(recipe, size=ready.prep.size, plain_size=2 * ready.prep.size)
    looks = large.looks()
    items = Items(ready.store, few)
    fits = [
        Finetune(steps=steps, trials=1, views=views).fit(large.build_encoder(), items, y, looks, device, fresh=True)
        for views, steps in (("mild", 150), ("plain", 1))
    ]
    assert [fit.even for fit in fits] == [True, False]
    found = fits[0].predict(Items(ready.store, rest), looks, device)
    assert np.array_equal(found, fits[0].predict(Items(ready.store, rest), looks.even(), device))
    other = Classifier(fits[0].encoder, fits[0].head, fits[0].rate, even=False)
    apart = other.predict(Items(ready.store, rest), looks, device)
    assert np.mean(found.argmax(1) == truth) > np.mean(apart.argmax(1) == truth) + 0.05
    assert (
        looks.plain(ready.store.batch(rest[:2])).shape[-1]
        == 2 * looks.even().plain(ready.store.batch(rest[:2])).shape[-1]
    )


def test_an_encoder_that_has_learnt_is_fine_tuned_on_views_as_large_as_the_plain_one(
    ready: Prepared, recipe: Recipe, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In as many fewer steps as they are larger, where these are ten passes; else on small, as from random weights."""
    rows = ready.labelled[:: len(ready.labelled) // 60]
    y, items = ready.table.labels[rows], Items(ready.store, rows)
    both = replace(recipe, size=ready.prep.size, plain_size=2 * ready.prep.size)
    looks, seen = both.looks(), list[int]()
    look = Finetune._look

    def note(self: Finetune, how: Modality, raw: Tensor) -> Tensor:
        x = look(self, how, raw)
        seen.append(x.shape[-1])
        return x

    monkeypatch.setattr(Finetune, "_look", note)
    cases: tuple[tuple[Literal["mild", "strong", "small"], bool, int, int], ...]
    cases = (("mild", False, 48, 2), ("strong", False, 48, 2), ("mild", False, 8, 1), ("mild", True, 8, 1),
             ("small", False, 8, 1))  # fmt: skip
    for views, fresh, steps, side in cases:
        rule = Finetune(encoder_lr=0.3, steps=steps, views=views)
        seen.clear()
        fit = rule.fit(both.build_encoder(), items, y, looks, device, fresh=fresh)
        assert seen == [side * ready.prep.size] * (steps // side**2)
        assert rule.length(len(y), looks, fresh) == len(seen)
        reads = rule.looks(looks, len(y), fresh)
        assert reads.plain(ready.store.batch(rows[:1])).shape[-1] == side * ready.prep.size
        assert fit.even == (side == 1)


def test_large_views_are_for_few_labels_and_fit_into_memory(recipe: Recipe) -> None:
    looks = replace(recipe, size=64, plain_size=128).looks()
    usual = Finetune(trials=1)
    assert [usual.length(n, looks) for n in (12, 320, 1600, 3200)] == [50, 50, 250, 1000]
    assert usual.length(320, looks, True) == Finetune(trials=1, views="small").length(320, looks) == 200
    assert Finetune(trials=1, epochs=40).length(640, looks) == 100
    assert Finetune(trials=1, epochs=39).length(640, looks) == 390
    assert usual.length(320, replace(recipe, size=224, plain_size=448).looks()) == 200
    assert usual.length(320, replace(recipe, size=64, plain_size=64).looks()) == 200


def test_a_rate_that_diverged_is_never_chosen_and_trials_part_no_group(
    ready: Prepared, recipe: Recipe, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ready.labelled[::20]
    y = ready.table.labels[rows]
    groups = np.arange(len(rows)) // 4
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    used: list[tuple[float, float]] = []

    def tried(self: Finetune, start: object, items: Items, y: np.ndarray, *rest: object) -> float:
        train, held, _, trial = rest
        seen.append((groups[train], groups[held]))  # type: ignore[index]
        return [0.5, 0.3, float("nan")][trial]  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(Finetune, "_tried", tried)
    monkeypatch.setattr(Finetune, "_train", lambda self, start, items, y, rate, trial: used.append(rate))
    Finetune().fit(weak(recipe), Items(ready.store, rows, groups=groups), y, recipe.looks(), device)
    Finetune(trials=1).fit(weak(recipe), Items(ready.store, rows), y, recipe.looks(), device)  # the middle of the grid
    assert used == [(1e-3, pytest.approx(1e-3)), (1e-3, pytest.approx(3e-4))]
    assert all(not set(a) & set(b) for a, b in seen) and len(seen) == 3


def test_as_many_rates_are_tried_as_were_asked_for(recipe: Recipe) -> None:
    once = Finetune(trials=1, steps=10).length(64, recipe.looks())
    for fresh in (False, True):
        assert [Finetune(trials=n, steps=10).length(64, recipe.looks(), fresh) // once for n in (1, 2, 5)] == [1, 3, 6]
    with pytest.raises(UserError, match="trials"):
        Finetune(trials=6)


def test_the_head_starts_at_the_probe() -> None:
    """Batch norm at rest and the head together are the linear probe, its standardisation included."""
    x = np.random.default_rng(0).normal(3.0, [1e-3, 1.0, 50.0], (60, 3)).astype(np.float32)
    y = (x[:, 1] + 0.02 * x[:, 2] > 4.0).astype(np.int64) + 1  # class 0 has no label
    norm, head = torch.nn.BatchNorm1d(3, eps=1e-8, affine=False), torch.nn.Linear(3, 3)
    start_from_probe(norm, head, torch.from_numpy(x), y, 0)
    with torch.no_grad():
        found = head(norm.eval()(torch.from_numpy(x))).softmax(1).numpy()
    assert np.allclose(found[:, 1:], Linear().fit(x, y).predict(x)[:, -2:], atol=2e-3)
    assert found[:, 0].max() < 1e-3


def test_classes_without_a_label_are_never_the_answer(ready: Prepared, recipe: Recipe, device: Device) -> None:
    labels = ready.table.labels
    rows = np.array([r for r in ready.labelled if labels[r] in (1, 7)])[::5]
    model = Finetune(steps=5).fit(
        _build.build(recipe.encoder, 1, 16), Items(ready.store, rows), labels[rows], recipe.looks(), device
    )
    found = model.predict(Items(ready.store, ready.test), recipe.looks(), device)
    assert set(found.argmax(1).tolist()) <= {1, 7}
    assert found.shape[1] == 8 and np.allclose(found.sum(1), 1, atol=1e-5)


def test_patches_that_are_left_out_are_never_computed(
    ready: Prepared, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    views = Augmentation(crop=0.5, horizontal_flip=0.0, blur=0.0)
    words = method_and_encoder("mae", "vit(patch_size=4, width=64, depth=2, heads=2)")
    recipe = compose(ready, *words, views, TRAINING, 1, 0)
    rows = ready.labelled[::4]
    y, items = ready.table.labels[rows], Items(ready.store, rows)
    seen = []
    blocks = ViT._blocks
    monkeypatch.setattr(ViT, "_blocks", lambda self, t: seen.append((self.training, t.shape[1])) or blocks(self, t))
    torch.manual_seed(0)
    rule = Finetune(steps=150, lr=3e-3, encoder_lr=1.0, keep=0.5, layer_decay=0.8)
    model = rule.fit(recipe.build_encoder(), items, y, recipe.looks(), device, fresh=True)
    assert {count for training, count in seen if training} == {8}
    right = (model.predict(items, recipe.looks(), device).argmax(1) == y).mean()
    assert {count for training, count in seen if not training} == {16}
    assert right > 0.6, right


TEXTS = ["bert(width=8, depth=3, heads=2)", "gpt(width=8, depth=3, heads=2)", "gpt(width=8, depth=0, heads=2)"]


@pytest.mark.parametrize("text", ["resnet18", "vit(width=32, depth=3, heads=2)", "cnn(width=8)", *TEXTS[:2]])
def test_early_parts_learn_at_lower_rates_and_every_number_learns_once(text: str) -> None:
    net = _build.build(_build.spec(text), 40 if text in TEXTS else 1, 32, 0 if text in TEXTS else 2)
    parts = optim.by_depth(net, 0.05, 2.0, 0.5)
    every = [id(p) for group in parts for p in group["params"]]
    assert len(every) == len(set(every)) and set(every) == {id(p) for p in net.parameters()}
    scale = {id(p): group["scale"] for group in parts for p in group["params"]}
    first, last = (next(iter(part.parameters())) for part in (net.in_order()[0], net.in_order()[-1]))
    assert scale[id(last)] == 2.0 and scale[id(first)] == 2.0 * 0.5 ** (len(net.in_order()) - 1) < 1
    assert [g["weight_decay"] for g in optim.by_depth(net, 0.05, 2.0, 1.0)] == [0.05, 0.0]


@pytest.mark.parametrize("text", TEXTS)
def test_words_learn_slower_than_the_layers_after_them(text: str) -> None:
    net: Any = _build.build(_build.spec(text), 40, 32, 0)
    depth = len(net.net.h if "gpt" in text else net.net.encoder.layer)
    scale = {id(p): g["scale"] for g in optim.by_depth(net, 0.05, 1.0, 0.5) for p in g["params"]}
    assert len(net.in_order()) == 1 + depth and scale[id(net.table)] == 0.5**depth
    last = net.net.ln_f if "gpt" in text else net.net.encoder.layer[-1]
    assert {scale[id(p)] for p in last.parameters()} == {1.0}


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"epochs": -0.5}, {"batch_size": 0}, {"lr": -1e-3}, {"lr": 0.0}, {"trials": 0},
              {"smoothing": 2.0}, {"weight_decay": -0.1}],
)  # fmt: skip
def test_numbers_with_which_nothing_is_learnt_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))} is "):
        Finetune(**wrong)


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"keep": 1.5}, {"layer_decay": 0.0}, {"crop": -0.1}])
def test_shares_outside_their_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="above 0, up to 1"):
        Finetune(**wrong)


def test_crops_of_a_fine_tuning_can_be_wider_than_those_of_the_run(
    ready: Prepared, recipe: Recipe, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    crops = geometry.crops
    monkeypatch.setattr(geometry, "crops", lambda *given: seen.append(crops(*given)) or seen[-1])
    rows = ready.labelled[::8]
    items, y, looks = Items(ready.store, rows), ready.table.labels[rows], recipe.looks()
    least = []
    for crop in (0.0, 0.9):
        seen.clear()
        Finetune(steps=4, trials=1, crop=crop).fit(recipe.build_encoder(), items, y, looks, device)
        boxes = torch.cat([torch.as_tensor(b) for b in seen])
        least.append(float((boxes[:, 2:] - boxes[:, :2]).prod(1).min()))
    assert looks.crop == 0.5
    assert least[0] < 0.7 * least[1], least
