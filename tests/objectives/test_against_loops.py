"""Each loss against a slow loop written from its paper, and against lightly's where it has one."""

import math
import sys

import pytest
import torch
from torch import Tensor

from unlabeled import UserError
from unlabeled.objectives.cosine import cosine
from unlabeled.objectives.distil import distil
from unlabeled.objectives.entropy import in_use
from unlabeled.objectives.gauss import divergence
from unlabeled.objectives.info_nce import info_nce
from unlabeled.objectives.queue_nce import queue_nce
from unlabeled.objectives.sinkhorn import sinkhorn, swapped
from unlabeled.objectives.vicreg import vicreg

B, D, K = 6, 5, 4


def draws(count: int, *shape: int) -> list[Tensor]:
    chance = torch.Generator().manual_seed(3)
    return [torch.randn(*shape, generator=chance) for _ in range(count)]


def unit(x: Tensor) -> Tensor:
    return x / x.norm()


def test_cosine_loop() -> None:
    a, b = draws(2, B, D)
    expected = -sum(float(unit(x) @ unit(y)) for x, y in zip(a, b, strict=True)) / B
    assert float(cosine(a, b)) == pytest.approx(expected, abs=1e-5)


def test_cosine_stops_the_target() -> None:
    a, b = (x.requires_grad_() for x in draws(2, B, D))
    cosine(a, b).backward()
    assert a.grad is not None and b.grad is None


def test_queue_nce_loop() -> None:
    q, k = draws(2, B, D)
    negatives = torch.stack([unit(x) for x in draws(1, 9, D)[0]])
    for of in (torch.zeros(B, 9, dtype=torch.bool), torch.arange(9) % B == torch.arange(B)[:, None]):
        total = 0.0
        for x, y, left_out in zip(q, k, of, strict=True):
            own = math.exp(float(unit(x) @ unit(y)) / 0.2)
            kept = [n for n, out in zip(negatives, left_out, strict=True) if not out]
            others = sum(math.exp(float(unit(x) @ n) / 0.2) for n in kept)
            total += -math.log(own / (own + others))
        assert float(queue_nce(q, k, negatives, 0.2, of)) == pytest.approx(total / B, abs=1e-5)
        if not of.any():
            assert float(queue_nce(q, k, negatives, 0.2)) == pytest.approx(total / B, abs=1e-5)


def test_vicreg_loop() -> None:
    a, b = draws(2, B, D)
    invariance = sum(float((a[i, j] - b[i, j]) ** 2) for i in range(B) for j in range(D)) / (B * D)
    variance = covariance = 0.0
    for x in (a, b):
        means = [sum(float(x[i, j]) for i in range(B)) / B for j in range(D)]
        for j in range(D):
            for k in range(D):
                c = sum((float(x[i, j]) - means[j]) * (float(x[i, k]) - means[k]) for i in range(B)) / (B - 1)
                if j == k:
                    variance += max(0.0, 1 - math.sqrt(c + 1e-4)) / D / 2
                else:
                    covariance += c**2 / D
    found = [float(t) for t in vicreg(a, b)]
    assert found == pytest.approx([invariance, variance, covariance], abs=1e-5)


def test_vicreg_refuses_one_item() -> None:
    with pytest.raises(UserError, match="two items"):
        vicreg(torch.zeros(1, 3), torch.zeros(1, 3))


def test_sinkhorn_loop() -> None:
    [scores] = draws(1, B, K)
    q = [[math.exp(float(scores[i, j]) / 0.5) for j in range(K)] for i in range(B)]
    for _ in range(3):
        for j in range(K):
            column = sum(q[i][j] for i in range(B))
            for i in range(B):
                q[i][j] /= column
        for i in range(B):
            row = sum(q[i])
            q[i] = [v / row for v in q[i]]
    assert torch.allclose(sinkhorn(scores, epsilon=0.5), torch.tensor(q), atol=1e-5)


def test_sinkhorn_shares_out_evenly() -> None:
    scores = torch.rand(64, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 0.1  # all lean to the first
    codes = sinkhorn(scores, epsilon=0.05, rounds=100)
    assert torch.allclose(codes.sum(1), torch.ones(64), atol=1e-4)
    assert torch.allclose(codes.sum(0), torch.full((8,), 8.0), atol=0.1)


def test_swapped_loop() -> None:
    scores = draws(3, B, K)
    codes = [s.softmax(1) for s in draws(2, B, K)]
    terms = []
    for i, q in enumerate(codes):
        for j, s in enumerate(scores):
            if i == j:
                continue
            for n in range(B):
                e = [math.exp(float(v) / 0.1) for v in s[n]]
                terms.append(-sum(float(q[n, k]) * math.log(e[k] / sum(e)) for k in range(K)))
    assert float(swapped(scores, codes, 0.1)) == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_distil_loop() -> None:
    students, teachers = draws(3, B, K), draws(2, B, K)
    [centre] = draws(1, K)
    terms = []
    for i, t in enumerate(teachers):
        for j, s in enumerate(students):
            if i == j:
                continue
            for n in range(B):
                says = [math.exp((float(t[n, k]) - float(centre[k])) / 0.5) for k in range(K)]
                hears = [math.exp(float(s[n, k]) / 0.7) for k in range(K)]
                terms.append(-sum(says[k] / sum(says) * math.log(hears[k] / sum(hears)) for k in range(K)))
    found = distil(students, teachers, centre, warm=0.7, cold=0.5)
    assert float(found) == pytest.approx(sum(terms) / len(terms), abs=1e-5)


def test_divergence_is_torch_distributions_own() -> None:
    mean, log_variance = draws(2, B, D)
    from torch.distributions import Normal, kl_divergence

    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    assert torch.allclose(divergence(mean, log_variance), expected, atol=1e-6)


def test_in_use_counts() -> None:
    assert in_use(torch.tensor([3, 3, 3, 0])) == pytest.approx(3)
    assert in_use(torch.tensor([1, 0])) == pytest.approx(1)


class TestAgainstLightly:
    """The same numbers as the peer's own losses."""

    @pytest.fixture(autouse=True)
    def loss(self) -> None:
        self.peer = pytest.importorskip("lightly.loss")

    def test_simclr(self) -> None:
        a, b = draws(2, 16, 8)
        assert float(info_nce(a, b, 0.2)) == pytest.approx(float(self.peer.NTXentLoss(temperature=0.2)(a, b)), abs=1e-5)

    def test_byol_and_simsiam(self) -> None:
        a, b = draws(2, 16, 8)
        assert float(cosine(a, b)) == pytest.approx(float(self.peer.NegativeCosineSimilarity()(a, b)), abs=1e-5)

    def test_moco(self) -> None:
        a, b = draws(2, 16, 8)
        theirs = self.peer.NTXentLoss(temperature=0.2, memory_bank_size=(32, 8))
        bank = theirs.memory_bank.bank.T.clone()  # as it stands before the loss puts the keys in
        if not len(bank):
            theirs.memory_bank._init_memory_bank(size=(32, 8))
            bank = theirs.memory_bank.bank.T.clone()
        bank = bank if bank.shape[1] == 8 else bank.T
        assert float(queue_nce(a, b, bank, 0.2)) == pytest.approx(float(theirs(a, b)), abs=1e-5)

    def test_vicreg(self) -> None:
        a, b = draws(2, 16, 8)
        invariance, variance, covariance = vicreg(a, b)
        found = 25 * invariance + 25 * variance + covariance
        assert float(found) == pytest.approx(float(self.peer.VICRegLoss()(a, b)), rel=1e-5)

    def test_swav(self) -> None:
        scores = [x.clamp(-1, 1) for x in draws(3, 16, 8)]
        codes = [sinkhorn(s) for s in scores[:2]]
        theirs = self.peer.SwaVLoss()(scores[:2], scores[2:])
        assert float(swapped(scores, codes, 0.1)) == pytest.approx(float(theirs), rel=1e-5)

    def test_dino(self) -> None:
        students, teachers = draws(3, 16, 8), draws(2, 16, 8)
        theirs = self.peer.DINOLoss(output_dim=8, teacher_temp=0.04, warmup_teacher_temp=0.04)(teachers, students)
        assert float(distil(students, teachers, torch.zeros(8))) == pytest.approx(float(theirs), rel=1e-5)


@pytest.mark.parametrize("world", [1, 2, 4])
def test_earlier_items_count_once_however_many_processes_there_are(world: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds the same queue, and gives the codes of its own items as one process gives them for the whole batch."""
    module = sys.modules["unlabeled.objectives.sinkhorn"]
    scores, earlier = torch.randn(8, 5), 0.5 + torch.randn(20, 5)
    whole = sinkhorn(torch.cat([scores, earlier]))[:8]
    torch.testing.assert_close(sinkhorn(scores, earlier), whole)
    monkeypatch.setattr(module, "gather", lambda _: scores)
    for rank in range(world):
        monkeypatch.setattr(module, "ranks", lambda rank=rank: (rank, world))
        part = slice(rank * 8 // world, (rank + 1) * 8 // world)
        torch.testing.assert_close(sinkhorn(scores[part], earlier), whole[part])
