"""DANN and CORAL on digits whose target is photographed inverted and dim: formulas, and what they change."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unlabeled import UserError, catalog
from unlabeled.adaptation import Adaptation
from unlabeled.adaptation.coral import Alike, distance
from unlabeled.adaptation.dann import Critic, reverse
from unlabeled.data.prepare import Prepared, prepare
from unlabeled.protocols.finetune import Finetune
from unlabeled.settings import Augmentation, Training
from unlabeled.shift.representation import tell
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training.devices import Device, open_device
from unlabeled.training.loop import Items, embed
from unlabeled.training.recipe import Recipe

TRAINING = Training(threads=1, precision="fp32", device="cpu")
NAMES = catalog.names("adaptation")


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """1,200 digits to learn from and 597 to test on; every second lies under a bright uneven light."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("two")
    bunch = load_digits()
    x = bunch.images * 15.9
    light = 90 + 60 * np.linspace(-1, 1, 8)[None, :]
    x[1::2] = 0.45 * x[1::2] + light
    x, y, d = x.clip(0, 255).astype("uint8"), bunch.target, np.where(np.arange(len(x)) % 2, "lit", "plain")
    np.savez(
        folder / "two.npz",
        **{"x_train": x[:1200], "y_train": y[:1200], "domains_train": d[:1200]},
        **{"x_test": x[1200:], "y_test": y[1200:], "domains_test": d[1200:]},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))
        return prepare(folder / "two.npz", size=16)


@pytest.fixture(scope="module")
def device() -> Device:
    return open_device(TRAINING)


@pytest.fixture(scope="module")
def recipe(ready: Prepared) -> Recipe:
    views = Augmentation(crop=0.7, horizontal_flip=0.0, blur=0.0)
    return compose(ready, *method_and_encoder("simclr", "test_resnet"), views, TRAINING, 1, 0)


def parts(ready: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Training rows of the plain and of the lit domain."""
    lit = ready.table.items["domain"].eq("lit").to_numpy()
    return ready.labelled[~lit[ready.labelled]], ready.labelled[lit[ready.labelled]]


def scores(model: Any, ready: Prepared, recipe: Recipe, device: Device) -> tuple[float, float]:
    """Accuracy on the target's test items, and how well the domain is told from the features of all test items."""
    lit = ready.table.items["domain"].eq("lit").to_numpy()[ready.test]
    right = model.predict(Items(ready.store, ready.test), recipe.looks(), device).argmax(1)
    right = right == ready.table.labels[ready.test]
    x = embed(model.encoder, recipe.looks(), ready.store, ready.test, device).numpy()
    return float(right[lit].mean()), tell(x, lit.astype(int))


@pytest.fixture(scope="module")
def source_only(ready: Prepared, recipe: Recipe, device: Device) -> tuple[float, float]:
    rows, _ = parts(ready)
    how = Finetune(steps=120, encoder_lr=1.0, views="plain", smoothing=0.1)
    model = how.fit(
        recipe.build_encoder(), Items(ready.store, rows), ready.table.labels[rows], recipe.looks(), device, fresh=True
    )
    return scores(model, ready, recipe, device)


@pytest.mark.parametrize("name", NAMES)
def test_the_target_is_recognised_better(
    name: str, ready: Prepared, recipe: Recipe, device: Device, source_only: tuple[float, float]
) -> None:
    source, target = parts(ready)
    rows = np.concatenate([source, target])
    y = np.concatenate([ready.table.labels[source], np.full(len(target), -1)])
    how: Adaptation = catalog.load("adaptation", name)(steps=120, encoder_lr=1.0, views="plain")
    encoder = recipe.build_encoder()
    before = {k: v.clone() for k, v in encoder.state_dict().items()}
    model = how.fit(encoder, Items(ready.store, rows), y, recipe.looks(), device, fresh=True)
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    accuracy, told = scores(model, ready, recipe, device)
    assert accuracy > source_only[0] + 0.1, f"{source_only} from the source alone, {(accuracy, told)} adapted"
    limit = source_only[1] - (0.05 if name == "coral" else -0.01)  # so short a DANN still lets neighbours tell them
    assert told <= limit, f"{source_only} from the source alone, {(accuracy, told)} adapted"


@pytest.mark.parametrize("name", NAMES)
def test_labels_of_the_target_are_never_read(name: str, ready: Prepared, recipe: Recipe, device: Device) -> None:
    """And several labelled domains are made alike without any target."""
    source, target = parts(ready)
    rows = np.concatenate([source[:100], target[:100]])
    domains = np.repeat([3, 7], 100)
    how: Adaptation = catalog.load("adaptation", name)(steps=3, trials=2, batch_size=16)
    labels = ready.table.labels[rows]
    both = how.fit(
        recipe.build_encoder(), Items(ready.store, rows, domains), labels, recipe.looks(), device, fresh=True
    )
    assert how.further is None and how.domains == 2
    assert both.predict(Items(ready.store, ready.test[:9]), recipe.looks(), device).shape == (9, 10)
    blind = np.where(domains == 7, -1, labels)
    how.fit(recipe.build_encoder(), Items(ready.store, rows), blind, recipe.looks(), device, fresh=True)
    assert how.further is not None and set(how.further.rows) == set(target[:100])
    with pytest.raises(UserError, match="one domain"):
        how.fit(recipe.build_encoder(), Items(ready.store, rows), labels, recipe.looks(), device)


@pytest.mark.parametrize("name", NAMES)
def test_as_many_items_of_the_target_are_seen_as_labelled_ones(name: str, ready: Prepared) -> None:
    source, target = parts(ready)
    rows = np.concatenate([source[:5], target[:100]])
    how: Adaptation = catalog.load("adaptation", name)(batch_size=16)
    items, _ = how.labelled(Items(ready.store, rows), np.repeat([0, -1], [5, 100]))
    _, domains = how._seen(items, np.arange(len(items)), 0, 0)
    assert domains.tolist() == [0] * 5 + [1] * 5


def test_without_weight_nothing_but_the_schedule_differs_from_fine_tuning(
    ready: Prepared, recipe: Recipe, device: Device
) -> None:
    """Labelled domains, a weight of 0: the same encoder comes out as without the term."""
    source, target = parts(ready)
    rows, domains = np.concatenate([source[:60], target[:60]]), np.repeat([0, 1], 60)
    labels, items = ready.table.labels[rows], Items(ready.store, rows, domains)
    settings: dict[str, Any] = {"steps": 5, "encoder_lr": 1.0, "views": "plain", "batch_size": 32}
    plain = Finetune(**settings).fit(recipe.build_encoder(), items, labels, recipe.looks(), device, fresh=True)
    for name in NAMES:
        how = catalog.load("adaptation", name)(weight=0.0, **settings)
        other = how.fit(recipe.build_encoder(), items, labels, recipe.looks(), device, fresh=True)
        for (k, v), w in zip(plain.encoder.state_dict().items(), other.encoder.state_dict().values(), strict=True):
            assert torch.allclose(v.float(), w.float(), atol=1e-4), (name, k)


def test_coral_is_the_loop_of_the_paper() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(9, 4)), random.normal(size=(7, 4)) * 2 + 1
    slow = 0.0
    ca, cb = (np.zeros((4, 4)), np.zeros((4, 4)))
    for c, x in ((ca, a), (cb, b)):
        for row in x - x.mean(0):
            c += np.outer(row, row) / (len(x) - 1)
    for i in range(4):
        for j in range(4):
            slow += (ca[i, j] - cb[i, j]) ** 2 / (4 * 4 * 4)
    assert distance(torch.tensor(a), torch.tensor(b)).item() == pytest.approx(slow)
    more = distance(torch.tensor(a), torch.tensor(b), means=True).item()
    assert more == pytest.approx(slow + ((a.mean(0) - b.mean(0)) ** 2).sum() / 4)
    x = torch.tensor(np.concatenate([a, b, a + 3]))
    domains = torch.tensor([0] * 9 + [1] * 7 + [2] * 9)
    z = (x - x.mean(0)) / (x.var(0, correction=0) + 1e-5).sqrt()
    pairs = [(0, 1), (0, 2), (1, 2)]
    by_hand = np.mean([distance(z[domains == i], z[domains == j]).item() for i, j in pairs])
    assert Alike(2.0, False)(x, domains, 0.0).item() == pytest.approx(2 * by_hand)
    assert Alike(1.0, True)(x[:1], domains[:1], 0.0).isfinite()


def test_the_critic_learns_downhill_and_the_features_uphill() -> None:
    torch.manual_seed(0)
    critic, domains = Critic(3, 8, 2, weight=2.0), torch.tensor([0, 1] * 10)
    x = torch.randn(20, 3) + domains[:, None]
    x.requires_grad_()
    last = 2 * (2 / (1 + np.exp(-10 * 0.3)) - 1)
    critic(x, domains, 0.3).backward()
    turned, own = x.grad.clone(), critic.net[1].weight.grad.clone()
    x.grad, critic.net[1].weight.grad = None, None
    torch.nn.functional.cross_entropy(critic.net(x), domains).backward()
    assert torch.allclose(turned, -last * x.grad, atol=1e-6) and torch.allclose(own, critic.net[1].weight.grad)
    assert torch.equal(reverse(x, 1.0), x) and critic(x, domains, 0.0).requires_grad


@pytest.mark.parametrize(
    ("name", "settings"), [("dann", {"weight": -1.0}), ("dann", {"hidden": 0}), ("coral", {"weight": -1.0})]
)
def test_settings_that_cannot_be_are_refused(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=name):
        catalog.load("adaptation", name)(**settings)


def test_every_setting_is_explained() -> None:
    for name in NAMES:
        entry = catalog.entry("adaptation", name)
        assert entry.summary and all(p.help for p in entry.parameters), Path(name)
