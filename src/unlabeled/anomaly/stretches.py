"""Learn to mark stretches of time in which a fault was drawn on good recordings; real faults do not belong there either
(after DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610, and for series NCAD, Carmona et al. 2021, arXiv:2107.07702).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled import progress
from unlabeled.anomaly import Eye
from unlabeled.anomaly._features import checked, strongest
from unlabeled.anomaly._nets import Netted
from unlabeled.anomaly._signals import answers, plant
from unlabeled.data.store import Store
from unlabeled.errors import UserError
from unlabeled.modalities.series import Series

LR = 3e-3
CLEAN = 0.3  # share of the windows that nothing is drawn on
FARTHEST = 8.0  # spreads of a filter's answer beyond which it says no more


class Stretches(Netted):
    """Learn to mark stretches in which a fault was drawn on good recordings (DRAEM, Zavrtanik et al. 2021).

    A small dilated network learns from good windows alone to tell the steps that were moved, stuck, made noisy, hummed
    over or exchanged, by what a bank of fixed filters sees of each variable. It needs no encoder. A step's score is its
    logit.

    Args:
        steps: optimizer steps, 1 or more.
        batch: windows in one step, 2 or more.
        width: channels of the network, 4 or more.
        top: share of a window's steps that its score is the mean of, 0 to 1.

    Raises:
        UserError: when a setting is outside its range.
    """

    needs: ClassVar[str] = "items"
    modalities: ClassVar[tuple[str, ...]] = ("series",)

    def __init__(self, *, steps: int = 400, batch: int = 32, width: int = 64, top: float = 0.05) -> None:
        if steps < 1 or batch < 2 or width < 4:
            raise UserError(
                f"steps={steps}, batch={batch} and width={width} were given", "give 1 step, 2 windows and a width of 4"
            )
        checked(top, 0.0)
        self.steps, self.batch, self.width, self.top = steps, batch, width, top
        self.nets = []

    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Learn from good windows with faults drawn on them; order, faults and weights follow the seed."""
        return self._learn(eye, store, [rows], seed)

    def cross(self, eye: Eye, store: Store, folds: Sequence[np.ndarray], *, seed: int = 0) -> Self:
        """Learn as many networks as there are folds, each without one of them; together they judge as their mean."""
        others = [np.concatenate([f for number, f in enumerate(folds) if number != left]) for left in range(len(folds))]
        return self._learn(eye, store, others, seed)

    def apart(self, fold: int) -> "Stretches":
        """The one network that has not seen this fold."""
        alone = Stretches(top=self.top)
        alone.nets = [self.nets[fold]]
        return alone

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, T)."""
        scores, maps = [], []
        for raw in eye.batches(store, rows):
            seen, inside = answers(_values(eye, raw)), raw[:, 0] > 0.5
            found = torch.stack([net(seen) for net in self.learnt()]).mean(0)
            lowest = found.masked_fill(~inside, torch.inf).amin(1, keepdim=True)
            found = torch.where(inside, found, lowest)
            scores.append(strongest(found, self.top))
            maps.append(found.float().cpu().numpy())
        return np.concatenate(scores), np.concatenate(maps)

    @torch.no_grad()
    def shares(self, eye: Eye, raw: Tensor, where: Tensor) -> np.ndarray:
        """How far the mean logit of the steps `where` (B, T) falls without each variable (V,).

        Its filters then answer as they did in the middle while learning; values held still would be a fault themselves.
        """
        x = _values(eye, raw)
        seen, variables = answers(x), x.shape[1]
        fall = torch.zeros(variables)
        for net in self.learnt():
            usual = net.get_buffer("even.running_mean")[None, :, None]
            whole = net(seen)
            for v in range(variables):
                without = seen.clone()
                own = slice(v, None, variables)  # a scale's filters stand variable by variable
                without[:, own] = usual[:, own]
                fall[v] += (whole - net(without))[where].mean().cpu()
        return fall.numpy() / len(self.learnt())

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all steps (B, F, 1, T): what the filters see."""
        return answers(_values(eye, raw))[:, :, None]

    def fitting(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """A network that these weights fit."""
        return Marks(
            weights["even.running_mean"].shape[0],
            self.width,
            len({k.split(".")[1] for k in weights if k.startswith("layers.")}),
        )

    def _learn(self, eye: Eye, store: Store, parts: Sequence[np.ndarray], seed: int) -> Self:
        self.nets = []
        with progress.bar("stretches", len(parts) * self.steps) as bar:
            for number, rows in enumerate(parts):
                self.nets.append(self._taught(eye, store, rows, 1000 * seed + number, bar))
        return self

    def _taught(self, eye: Eye, store: Store, rows: np.ndarray, seed: int, bar: progress.Bar) -> nn.Module:
        if not len(rows):
            raise UserError("there is no good window to learn from", "give some")
        chance, device = np.random.default_rng([seed, 77]), eye.device.device
        first = answers(_values(eye, store.batch(rows[:1])))
        far = sum(2**k <= max(1, first.shape[2] // 8) for k in range(8))  # its look reaches a quarter of a window
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = eye.device.place(Marks(first.shape[1], self.width, far)).train()
        optimizer = torch.optim.AdamW(net.parameters(), lr=LR, weight_decay=1e-2)
        course = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=self.steps + 1, pct_start=0.1)
        for _ in range(self.steps):
            raw = store.batch(rows[chance.integers(0, len(rows), self.batch)])
            x, where = drawn(_values(eye, raw), raw[:, 0] > 0.5, chance)
            seen, faulty, inside = answers(x.to(device)), where.to(device), raw[:, 0].to(device)
            many = faulty.sum(1, keepdim=True)
            # a short fault counts for less than a long one, but not by as much as it is shorter
            weight = torch.where(faulty > 0, 8 / many.clamp_min(1).sqrt(), 1.0) * inside
            each = functional.binary_cross_entropy_with_logits(net(seen), faulty, reduction="none")
            loss = (each * weight).sum() / weight.sum().clamp_min(1)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            course.step()
            bar.advance(1, f"loss {loss.item():.3f}")
        return net.eval()


class Marks(nn.Module):
    """Filters' answers (B, F, T) to a logit a step (B, T): convolutions that look ever farther.

    Args:
        seen: filters F.
        width: of the hidden channels.
        layers: how many; each looks twice as far as the one before.
    """

    def __init__(self, seen: int, width: int, layers: int) -> None:
        super().__init__()
        self.even = nn.BatchNorm1d(seen, affine=False)
        self.enter = nn.Conv1d(seen, width, 1)
        self.layers = nn.ModuleList(_layer(width, 2**k) for k in range(layers))
        self.leave = nn.Conv1d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, T) to (B, T)."""
        y = self.enter(self.even(x).clamp(-FARTHEST, FARTHEST))
        for layer in self.layers:
            y = y + layer(y)
        out: Tensor = self.leave(functional.relu(y))[:, 0]
        return out


def _layer(width: int, dilation: int) -> nn.Module:
    near = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
    return nn.Sequential(
        nn.BatchNorm1d(width), nn.ReLU(), near, nn.BatchNorm1d(width), nn.ReLU(), nn.Conv1d(width, width, 1)
    )


def _values(eye: Eye, raw: Tensor) -> Tensor:
    """The variables that change with time (B, V, T), in units of the data's spread, gaps held."""
    if not isinstance(eye.looks, Series):
        raise UserError(f"stretches are found in series, not in items of {eye.looks.name}", "take --detector planted")
    return eye.looks.curves(raw)[0]


def drawn(x: Tensor, inside: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Series (B, V, T) with a fault on most of them, inside (B, T) of their ends, and 1 where it is (B, T)."""
    values, where = x.cpu().numpy().copy(), np.zeros(inside.shape, np.float32)
    for item, length in enumerate(inside.sum(1).tolist()):
        if length and chance.random() >= CLEAN:
            values[item, :, :length], steps = plant(values[item, :, :length], chance)
            where[item, :length] = steps
    return torch.from_numpy(values), torch.from_numpy(where)
