"""Scores: they are what the probe and the features say, for every copy of every item."""

import numpy as np
import pytest
import torch
from planted import Planted, build

from unlabeled.explain import _questions
from unlabeled.explain._neighbours import neighbours, share_below


@pytest.fixture(scope="module")
def planted() -> Planted:
    return build("vit")


def test_the_class_score_is_the_probes_log_odds(planted: Planted) -> None:
    features = planted.encoder(planted.views).numpy()
    theirs = planted.probe.predict(features)[np.arange(len(features)), planted.classes]
    ours = torch.sigmoid(planted.score(planted.views))
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-3)
    twice = torch.sigmoid(planted.score(torch.cat([planted.views, planted.views])))
    np.testing.assert_allclose(twice.numpy(), np.tile(theirs, 2), rtol=1e-3)


def test_the_embedding_score_is_one_at_the_item_and_falls_towards_the_mean(planted: Planted) -> None:
    score = _questions.of_embedding(planted.lens, planted.views)
    np.testing.assert_allclose(score(planted.views).numpy(), 1, rtol=1e-4)
    z = planted.lens(planted.views).numpy()
    other = planted.views.flip(0)
    by_hand = [float(b @ a / (a @ a)) for a, b in zip(z, planted.lens(other).numpy(), strict=True)]
    np.testing.assert_allclose(score(other).numpy(), by_hand, rtol=1e-3, atol=1e-5)


def test_the_embedding_score_has_a_slope_where_a_cosine_with_itself_has_none(planted: Planted) -> None:
    def steepness(score: _questions.Score) -> float:
        x = planted.views.clone().requires_grad_()
        return float(torch.autograd.grad(score(x).sum(), x)[0].abs().max())

    mine = steepness(_questions.of_embedding(planted.lens, planted.views))
    flat = steepness(_questions.of_nearness(planted.lens, planted.views))
    assert mine > 100 * flat


def test_nearness_is_the_cosine_of_standardised_features(planted: Planted) -> None:
    a, b = planted.views[:2], planted.views[2:4]
    x, y = (planted.lens(v).numpy() for v in (a, b))
    by_hand = [float(p @ q / np.linalg.norm(p) / np.linalg.norm(q)) for p, q in zip(x, y, strict=True)]
    np.testing.assert_allclose(_questions.of_nearness(planted.lens, b)(a).numpy(), by_hand, rtol=1e-4)


def test_neighbours_are_those_of_a_slow_search_and_never_the_item_itself() -> None:
    random = np.random.default_rng(0)
    bank = random.normal(size=(300, 12)).astype(np.float32)
    items = np.concatenate([bank[[7, 11]], random.normal(size=(1, 12)).astype(np.float32)])
    found = neighbours(torch.from_numpy(items), torch.from_numpy(bank), 5, but=np.array([7, 11, -1]))
    unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    for row, own in enumerate((7, 11, -1)):
        cosine = unit @ (items[row] / np.linalg.norm(items[row]))
        order = [i for i in np.argsort(-cosine) if i != own][:5]
        assert found.which[row].tolist() == order
        np.testing.assert_allclose(found.cosine[row], cosine[order], atol=1e-5)
    assert neighbours(torch.from_numpy(items[:1]), torch.from_numpy(bank[:3]), 9).which.shape == (1, 3)


def test_share_below_is_that_of_all_pairs() -> None:
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    unit = torch.nn.functional.normalize(x, dim=1).numpy()
    every = (unit @ unit.T)[~np.eye(60, dtype=bool)]
    assert share_below(x, 0.3) == pytest.approx((every < 0.3).mean(), abs=0.02)
