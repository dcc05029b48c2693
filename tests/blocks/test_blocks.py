"""The pieces that methods share."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import nn

from unlabeled import UserError
from unlabeled.blocks import frozen
from unlabeled.blocks.critic import Critic
from unlabeled.blocks.decoder import Decoder, side_of_map
from unlabeled.blocks.projector import projector
from unlabeled.blocks.prototypes import Prototypes
from unlabeled.blocks.queue import Queue
from unlabeled.blocks.teacher import SLOWEST, Teacher
from unlabeled.encoders import _build
from unlabeled.encoders.cnn import CNN
from unlabeled.methods import Batch
from unlabeled.methods.cpc import CPC
from unlabeled.methods.moco import MoCo
from unlabeled.modalities.image import Image
from unlabeled.objectives.queue_nce import queue_nce


def test_one_backward_pass_gives_each_side_of_a_game_its_own_gradient() -> None:
    """The sum of both losses through `frozen` has the gradients of two passes, each with the other side's alone."""
    torch.manual_seed(0)
    maker, critic, z, x = nn.Linear(3, 4), Critic(1, 2, 3, width=4), torch.randn(5, 3), torch.randn(5, 1, 2, 2)
    critic.eval()  # spectral norm at rest: its own power iteration would differ from call to call
    made = maker(z).view(5, 1, 2, 2)
    theirs = critic(made.detach(), z).mean() - critic(x, z).mean()
    mine = -frozen(critic, made, z).mean()
    (theirs + mine).backward()
    got = [p.grad.clone() for net in (maker, critic) for p in net.parameters() if p.grad is not None]
    for net in (maker, critic):
        net.zero_grad()
    expected = list(torch.autograd.grad(-critic(maker(z).view(5, 1, 2, 2), z).mean(), list(maker.parameters())))
    made = maker(z).view(5, 1, 2, 2).detach()
    expected += torch.autograd.grad(critic(made, z).mean() - critic(x, z).mean(), list(critic.parameters()))
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_spectral_norm_bounds_the_slope() -> None:
    torch.manual_seed(0)
    critic = Critic(1, 8, 4)
    for _ in range(50):  # power iterations
        critic(torch.randn(2, 1, 8, 8), torch.randn(2, 4))
    critic.eval()
    for layer in critic.both:
        if isinstance(layer, nn.Linear):
            assert float(torch.linalg.matrix_norm(layer.weight.detach(), 2)) == pytest.approx(1.0, abs=0.02)


def test_teacher_follows_at_its_momentum() -> None:
    student = nn.Linear(2, 2)
    teacher = Teacher(student, momentum=0.9, rising=False)
    start = student.weight.detach().clone()
    with torch.no_grad():
        student.weight += 1
    teacher.follow(student, 0.5)
    assert torch.allclose(teacher.net.weight, start + 0.1)
    assert not any(p.requires_grad for p in teacher.parameters())


def test_teacher_stands_still_at_the_end() -> None:
    student = nn.Linear(2, 2)
    teacher = Teacher(student, momentum=0.9)
    before = teacher.net.weight.clone()
    with torch.no_grad():
        student.weight += 1
    teacher.follow(student, 1.0)
    assert torch.equal(teacher.net.weight, before)


@pytest.mark.parametrize("steps", [4, 100, 2_000, 1_000_000])
def test_teacher_forgets_its_start_within_the_run(steps: int) -> None:
    teacher = Teacher(nn.Linear(1, 1))
    teacher.fit_to(steps)
    left = 1.0
    for _ in range(min(steps, 20_000)):
        left *= teacher.momentum
    assert left < 0.14 and teacher.momentum <= SLOWEST


def test_a_given_momentum_is_kept() -> None:
    teacher = Teacher(nn.Linear(1, 1), momentum=0.99)
    teacher.fit_to(10)
    assert teacher.momentum == 0.99


def test_queue_is_first_in_first_out() -> None:
    queue = Queue(5, 1)
    for number in range(4):
        queue.push(torch.full((2, 1), float(number)))
    assert sorted(queue.rows.flatten().tolist()) == [1, 2, 2, 3, 3]


@pytest.mark.parametrize(("size", "items"), list(itertools.product((1, 7, 4096), (1, 2, 3, 100))))
def test_queue_stays_below_half_the_data(size: int, items: int) -> None:
    queue = Queue(size, 2)
    queue.fit_to(items)
    assert len(queue.rows) == max(1, min(size, (items - 1) // 2))
    queue.push(torch.randn(9, 2))  # more than it holds


def test_queue_knows_whose_its_vectors_are_and_takes_up_one_that_did_not() -> None:
    queue = Queue(5, 1)
    for number in range(4):
        queue.push(torch.full((2, 1), float(number)), torch.tensor([number, 10 + number]))
    assert sorted(zip(queue.rows.flatten().tolist(), queue.of.tolist(), strict=True)) == [
        (1, 11), (2, 2), (2, 12), (3, 3), (3, 13)
    ]  # fmt: skip
    queue.push(torch.zeros(1, 1))
    assert sorted(queue.of.tolist()) == [-1, 2, 3, 12, 13]
    old = {k: v for k, v in queue.state_dict().items() if k != "of"}
    queue.load_state_dict(old)
    assert queue.of.tolist() == [-1] * 5


def test_an_item_is_no_negative_of_its_own() -> None:
    """After a step the queue holds the four items of the batch; then each has the three others to be told from."""
    method = MoCo(_build.build(_build.spec("cnn(width=4, stages=2)"), 1, 16), queue=4)
    raw, looks = torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8), Image(size=16)
    method(method.views(Batch(raw, torch.arange(4)), looks.at(0, 0)))
    views = method.views(Batch(raw, torch.arange(4)), looks.at(0, 1))
    assert sorted(method.queue.of.tolist()) == [0, 1, 2, 3]
    query, key = method.projector(method.encoder(views[0])), method.teacher(views[1])
    each = [
        queue_nce(query[i : i + 1], key[i : i + 1], method.queue.rows[method.queue.of != i], method.temperature)
        for i in range(4)
    ]
    assert method(views).item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)


@pytest.mark.parametrize(("size", "grid"), list(itertools.product((8, 20, 64), (1, 2, 3, 8))))
def test_decoder_paints_at_any_size(size: int, grid: int) -> None:
    x = torch.randn(2, 6) if grid == 1 else torch.randn(2, grid * grid, 6)
    assert Decoder(6, 3, size, grid=grid, width=4)(x).shape == (2, 3, size, size)


@pytest.mark.parametrize("make", [lambda: projector(4, 4, 0), lambda: projector(4, -1, 4), lambda: Queue(0, 4)])
def test_what_cannot_be_built_is_said(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(UserError, match="give 1 or more"):
        make()


def test_decoder_keeps_places() -> None:
    """A change in one place of the map changes the picture there and not in the far corner."""
    torch.manual_seed(0)
    decoder = Decoder(4, 1, 64, grid=4, width=4).eval()
    x = torch.zeros(1, 16, 4)
    base = decoder(x)
    x[0, 0] = 5.0
    change = (decoder(x) - base).abs()[0, 0]
    assert change[:8, :8].max() > 1e-4 and change[40:, 40:].max() < 1e-7


@pytest.mark.parametrize("name", ["resnet18", "test_resnet", "vit(width=64, depth=1, heads=2)"])
def test_features_and_tokens_in_one_pass(name: str) -> None:
    encoder = _build.build(_build.spec(name), 3, 32).eval()
    x = torch.randn(2, 3, 32, 32)
    features, tokens = encoder.both(x)
    assert torch.allclose(features, encoder(x), atol=1e-5)
    assert torch.equal(tokens, encoder.tokens(x))
    assert side_of_map(encoder, 3, 32) ** 2 == tokens.shape[1]


def test_prototypes_can_rest() -> None:
    prototypes = Prototypes(4, 3)
    prototypes(torch.randn(2, 4), learn=False).sum().backward()
    assert prototypes.weight.grad is not None and not prototypes.weight.grad.any()


def test_a_net_that_sees_maps_has_no_places_in_time() -> None:
    with pytest.raises(
        UserError, match="cpc looks ahead in time, and the encoder sees maps or pictures; take --encoder tcn"
    ):
        CPC(CNN(1, 32, width=4))


def test_a_teacher_drops_nothing_and_its_norms_follow_the_batch() -> None:
    """DINO's and I-JEPA's targets are of the whole network; BYOL's and MoCo's batch norms see the batch."""
    net = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Sequential(nn.ReLU(), nn.Dropout(0.5)))
    teacher, x = Teacher(net), torch.randn(5, 6)
    both = nn.ModuleList([net, teacher]).train()
    torch.testing.assert_close(teacher(x), teacher(x))
    assert teacher.net[1].training and not torch.equal(net(x), net(x)) and len(both) == 2
    mean = teacher.net[1].running_mean.clone()
    both.eval()
    teacher(x)
    torch.testing.assert_close(teacher.net[1].running_mean, mean)
