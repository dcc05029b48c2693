"""Which parts of a batch the border between yes and no is learnt from, and that nothing else is."""

import pytest
import torch
from torch import Tensor

from unlabeled.encoders._build import build, spec
from unlabeled.methods.quick_thoughts import KEPT, QuickThoughts
from unlabeled.objectives.in_batch import in_batch
from unlabeled.views.words import SEGMENT

TOKENS, WIDTH = 400, 32


def parts(items: int, kept: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """First and second parts (items, 6), of which the first `kept` are kept back; no two items share a word."""
    chance = torch.Generator().manual_seed(seed)
    words = (torch.randperm(TOKENS - 10, generator=chance)[: items * 12] + 10).view(items, 12)
    spare = TOKENS // KEPT
    for row, own in enumerate(words):
        rest = int(own.sum() - own[-1]) % KEPT
        wanted = 0 if row < kept else 1
        mine = [n for n in range(10, TOKENS) if (rest + n) % KEPT == wanted and n not in words]
        own[-1] = mine[row % min(len(mine), spare)]
    return words[:, :6], words[:, 6:]


def learner() -> QuickThoughts:
    torch.manual_seed(0)
    encoder = build(spec(f"bert(width={WIDTH}, depth=0, heads=2)"), TOKENS, 16, 0)
    return QuickThoughts(encoder).train()  # type: ignore[arg-type]


def test_rows_that_are_left_out_are_negatives_alone() -> None:
    chance = torch.Generator().manual_seed(0)
    a, b = torch.randn(6, 7, generator=chance), torch.randn(6, 7, generator=chance)
    out = torch.tensor([False, True, False, False, True, False])
    cosine = torch.nn.functional.normalize(a) @ torch.nn.functional.normalize(b).T / 0.1
    each = cosine.logsumexp(1) - cosine.diagonal()
    assert in_batch(a, b, 0.1, out).item() == pytest.approx(each[~out].mean().item(), rel=1e-5)
    assert in_batch(a, b, 0.1, torch.zeros(6, dtype=torch.bool)).item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_nothing_is_learnt_from_what_is_kept_back() -> None:
    method, (first, second) = learner(), parts(12, kept=3)
    method.loss((first, second)).backward()
    grad = method.encoder.table.grad
    assert grad is not None
    learnt, kept = torch.cat([first, second], 1)[3:].unique(), torch.cat([first, second], 1)[:3].unique()
    only = kept[~torch.isin(kept, learnt)]
    assert len(only) > 20 and grad[learnt].abs().sum(1).min() > 0 and grad[only].abs().max() == 0


def test_the_border_is_that_of_items_that_were_kept_back() -> None:
    method, (first, second) = learner(), parts(12, kept=3)
    with torch.no_grad():
        method.loss((first, second))
        a, b = method._both(first, second)
    cosine = torch.nn.functional.cosine_similarity(a[:3, None], b[None], dim=2)
    own = torch.eye(12, dtype=torch.bool)[:3]
    for told, among in zip(method.border.between, (cosine[own], cosine[~own]), strict=True):
        assert torch.allclose(told, torch.stack([among.mean(), among.square().mean()]), atol=1e-5)
    before = method.border.between.clone()
    with torch.no_grad():
        method.loss(parts(12, kept=0, seed=1))  # none is kept: nothing new is known of others
    assert torch.equal(method.border.between, before)


def test_with_nothing_kept_back_yet_all_items_tell_the_border() -> None:
    method = learner()
    before = method.border.between.clone()
    with torch.no_grad():
        method.loss(parts(12, kept=0))
    assert not torch.equal(method.border.between, before) and int(method.border.steps) == 0


def test_it_is_even_where_both_are_as_many_spreads_away() -> None:
    method, (first, second) = learner().eval(), parts(8, kept=0)
    pair = torch.cat([first, second + SEGMENT], 1)
    with torch.no_grad():
        cosine = torch.nn.functional.cosine_similarity(*method._both(first, second))
        far = 0.5
        low = float(cosine[0]) - far * 0.2 / (
            0.2 + 0.1
        )  # spreads of 0.1 where parts follow and of 0.2 where they do not
        high = low + far
        method.border.between.copy_(torch.tensor([[high, high**2 + 0.1**2], [low, low**2 + 0.2**2]]))
        told = method.follows(pair)
    assert told[0].item() == pytest.approx(0.5, abs=1e-3)
    assert torch.equal(told.argsort(), cosine.argsort()), "the likelier the nearer"
