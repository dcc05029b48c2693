"""The causal model finds planted graphs and planted style directions."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor

from unlabeled.blocks.causal import EDGE, SPARSE, STILL, Causal, Equations, _alike
from unlabeled.encoders import _build
from unlabeled.errors import UserError
from unlabeled.methods import Batch, Facts
from unlabeled.methods.c2ssl import C2SSL
from unlabeled.modalities.image import Image
from unlabeled.objectives import scm


def chain(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, np.ndarray]:
    """Factors c -> m <- s0, m -> e, and a lone d <- s1: plain, changed, s, and the edges (2 + 4, 4)."""
    random = np.random.default_rng(seed)
    noise = random.normal(size=(count, 4))
    s = np.where(random.random((count, 2)) < 0.5, 0, random.uniform(-1, 1, (count, 2)))

    def world(s: np.ndarray) -> np.ndarray:
        c = noise[:, 0]
        m = 1.2 * np.tanh(c) + 1.5 * s[:, 0] + 0.7 * noise[:, 1]
        e = -1.0 * m + 0.7 * noise[:, 2]
        return np.stack([c, m, e, 1.5 * s[:, 1] + noise[:, 3]], 1)

    edges = np.zeros((6, 4), bool)
    edges[0, 1] = edges[1, 3] = edges[2 + 0, 1] = edges[2 + 1, 2] = True
    before, after = world(np.zeros_like(s)), world(s)
    mean, spread = before.mean(0), before.std(0)
    plain, changed = ((x - mean) / spread for x in (before, after))
    return *(torch.tensor(x, dtype=torch.float32) for x in (plain, changed, s)), edges


def test_the_equations_find_a_planted_graph() -> None:
    plain, changed, s, edges = chain(1000, 0)
    torch.manual_seed(0)
    model = Equations(2, 4)
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(800):
        adam.param_groups[0]["lr"] = 1e-3 * (1 - step / 800)
        at = torch.randint(len(plain), (256,))
        observed, noise = model.costs(plain[at], changed[at], s[at])
        loss = observed + STILL * noise + SPARSE * model.density() + 0.5 * 100 ** (step / 800) * model.cycles()
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    found = model.adjacency().detach().numpy()
    assert scm.hamming(found > EDGE, edges) <= 2 < edges.sum()
    assert found[0].argmax() == 1 and found[0, 1] > 3 * np.delete(found[0], 1).max()  # s0 moves m,
    assert np.array_equal(found[1] > EDGE, edges[1])  # and s1 moves d and nothing else
    total = scm.reach(torch.tensor(found), 2).numpy()
    assert total[1, :3].max() < 0.1 and total[0, 3] < 0.1
    assert total[0, 2] > 0.15  # and e, which s0 reaches through m alone


def test_nothing_causes_itself_and_a_model_without_input_predicts_nothing() -> None:
    model = Equations(3, 5)
    u = torch.randn(7, 5)
    jacobian = torch.autograd.functional.jacobian(lambda x: model(x, torch.zeros(7, 3)).sum(0), u)
    assert torch.allclose(jacobian.sum(1).diagonal(), torch.zeros(5))
    assert torch.allclose(model(torch.zeros(2, 5), torch.zeros(2, 3)), torch.zeros(2, 5), atol=1e-6)
    slopes = torch.autograd.functional.jacobian(lambda x: model(x, torch.zeros(1, 3)), u[:1])[0, :, 0]  # (K, K)
    assert (model.adjacency()[3:] + 1e-5 >= slopes.abs().T).all()  # the adjacency bounds every slope


def style_in_features(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Features (N, 24) in which s0 and s1 move one direction each, and the two directions."""
    random = torch.Generator().manual_seed(seed)
    axes = torch.linalg.qr(torch.randn(24, 24, generator=random))[0]
    h = torch.randn(count, 24, generator=random)
    s = torch.rand(count, 2, generator=random) * 2 - 1
    return h, h + 2 * s @ axes[:2], s, axes[:2]


def test_the_factors_turn_to_where_the_style_is_and_free_it() -> None:
    h, q, s, style = style_in_features(512, 0)
    torch.manual_seed(0)
    model = Causal(24, 2, 6)
    before = model.inconsistency(h, q).item()
    assert before == pytest.approx(((q - h) / h.std(0)).square().mean().item() / 0.1, rel=0.05)
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(400):
        at = torch.randint(len(h), (128,))
        loss = model.cost(h[at], q[at], s[at], torch.tensor(step / 400))
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    held = (style @ model.directions()).square().sum(1)
    assert (held > 0.9).all()  # both directions lie among the factors
    assert model.inconsistency(h, q).item() == pytest.approx(before, rel=0.05)
    assert model.inconsistency(h, q, free=1.0).item() < 0.5 * before
    reached = model.reached()
    assert reached.max() > 0.5 and reached.min() < 0.2


def test_an_edge_that_closes_a_cycle_with_a_stronger_one_hands_nothing_over() -> None:
    model = Causal(8, 1, 3)
    strengths = torch.zeros(4, 3)
    strengths[0, 1], strengths[1 + 0, 1], strengths[1 + 1, 0] = 0.8, 0.9, 0.4  # s moves 1; 0 moves 1, 1 a little 0
    with torch.no_grad():
        model.equations.first.copy_(
            strengths[..., None] / model.equations.adjacency()[..., None] * model.equations.first
        )
    reached = model.reached()
    assert reached[1] == pytest.approx(1 - np.exp(-0.64), abs=1e-4) and reached[0] < 1e-6 > reached[2]


@pytest.mark.parametrize("temperature", [None, 0.2])
def test_what_tells_the_items_apart_survives_only_where_they_are_kept_apart(temperature: float | None) -> None:
    """Six contents, which style touches the more the later they come: squares, even in units of the items' spread, are
    smallest where all features say the first.
    """
    chance, much = torch.Generator().manual_seed(0), torch.linspace(0.05, 0.5, 6)
    model, encoder = Causal(16, 2, 4), torch.nn.Linear(6, 16)
    adam = torch.optim.Adam(encoder.parameters(), 1e-2)
    for _ in range(300):
        content, style = torch.randn(2, 64, 6, generator=chance)
        loss = model.inconsistency(encoder(content), encoder(content + much * style), temperature)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    share = torch.linalg.eigvalsh(torch.corrcoef(encoder(torch.randn(500, 6, generator=chance)).T)).clamp_min(1e-9) / 16
    directions = (-(share * share.log()).sum()).exp().item()
    assert directions < 1.2 if temperature is None else directions > 5


def test_features_that_style_moves_cost_and_factors_can_be_let_off() -> None:
    h, q, _, style = style_in_features(256, 1)
    model = Causal(24, 2, 4)
    held, moved = (model.inconsistency(h, x, 0.2).item() for x in (h, q))
    assert moved > held + 0.15 and model.inconsistency(0.01 * h, 0.01 * q, 0.2).item() == pytest.approx(moved, rel=1e-4)
    with torch.no_grad():
        model.basis[:, :2] = (style * model.spread).T  # the first two factors lie where the style does
        model.equations.first[0, 0], model.equations.first[1, 1] = 9.0, 9.0
    for _ in range(60):
        model.follow(h)
    assert model.inconsistency(h, q, 0.2, free=1.0).item() < moved - 0.1
    with pytest.raises(UserError, match="temperature"):
        model.inconsistency(h, q, 0.0)


@pytest.mark.parametrize(("consistency", "same"), [("nce", False), ("squares", True)])
def test_c2ssl_holds_by_what_it_was_told(consistency: Literal["nce", "squares"], same: bool) -> None:
    """Of a pair that did not change the squares are 0; how hard it is to tell from others is not."""
    method = C2SSL(_build.build(_build.spec("cnn(width=4, stages=2)"), 1, 16), consistency=consistency, factors=4)
    method.fit_to(Facts(8, 10, 1, 16, interventions=2))
    x = torch.randn(8, 1, 16, 16)
    out = method.loss((None, (x, x, torch.zeros(8, 2))))
    assert set(out) == {"model", "inconsistency"} and (out["inconsistency"].item() == 0) == same


def test_inconsistency_has_no_way_out_by_shrinking() -> None:
    h, q, _, _ = style_in_features(256, 1)
    model = Causal(24, 2, 4)
    assert model.inconsistency(h, q).item() == pytest.approx(model.inconsistency(0.01 * h, 0.01 * q).item(), rel=1e-3)
    assert model.inconsistency(h, h).item() == 0
    assert model.inconsistency(h, h.flip(0)).item() == pytest.approx(20, rel=0.1)  # twice the variance


@pytest.mark.parametrize(("items", "share", "wanted"), [(4, 0.5, 4), (6, 0.1, 6), (9, 0.5, 8), (64, 0.5, 32)])
def test_enough_items_are_looked_at_in_two_styles(items: int, share: float, wanted: int) -> None:
    """Their spread is divided by: that of two items may be next to nothing."""
    method = C2SSL(_build.build(_build.spec("cnn(width=4, stages=2)"), 1, 16), share=share)
    method.fit_to(Facts(items, 10, 1, 16, interventions=2))
    raw, looks = torch.randint(0, 256, (items, 1, 16, 16), dtype=torch.uint8), Image(size=16)
    _, styles = method.views(Batch(raw, torch.arange(items)), looks.at(0, 0))
    assert styles is not None and len(styles[0]) == len(styles[1]) == len(styles[2]) == wanted
    with pytest.raises(UserError, match=r"3 items .*--accumulate"):
        method.views(Batch(raw[:3], torch.arange(3)), looks.at(0, 0))


def test_the_features_get_no_gradient_from_the_fit() -> None:
    h, q, s, _ = style_in_features(64, 2)
    h.requires_grad_(True)
    model = Causal(24, 2, 4)
    torch.autograd.backward(model.cost(h, q, s, torch.tensor(0.5)))
    assert h.grad is None and model.basis.grad is not None
    with pytest.raises(UserError, match="factors"):
        Causal(8, 2, 9)


def test_items_that_are_all_alike_cost_a_number() -> None:
    torch.manual_seed(0)
    h, _, s, _ = style_in_features(64, 2)
    model = Causal(24, 2, 4)
    u = model.factors(h)
    assert torch.allclose(_alike(u), torch.corrcoef(u.T).square().sum() / 4 - 1, atol=1e-5)
    blank = torch.ones(8, 24)  # black pictures, or a net that says the same of all
    cost = model.inconsistency(blank, blank, 0.2) + model.cost(blank, blank, s[:8], torch.tensor(0.5))
    torch.autograd.backward(cost)
    assert cost.isfinite() and all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
