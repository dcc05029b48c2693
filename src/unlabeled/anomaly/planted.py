"""Learn to find faults that were drawn on good items; real ones do not belong there either (DRAEM, Zavrtanik et al.
2021, arXiv:2108.07610, and CutPaste, Li et al. 2021, arXiv:2104.04015), here with one small network and no painting.
"""

import math
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled import progress
from unlabeled.anomaly import Eye
from unlabeled.anomaly._faults import plant
from unlabeled.anomaly._features import checked, enlarge, strongest, view
from unlabeled.data.store import Store
from unlabeled.errors import UserError


class Planted:
    """Learn to find faults that were drawn on good items (DRAEM, Zavrtanik et al. 2021, arXiv:2108.07610).

    A small U-shaped network learns from good items alone to mark spots, scratches, foreign patches and clouds that are
    drawn on them anew at each step. It needs no encoder, and finds faults that differ from good texture in brightness,
    sharpness or grain; it is weak on faults of logic (a missing screw). A place's score is its logit.

    Args:
        steps: optimizer steps, 1 or more.
        batch_size: items in one step.
        width: channels of the first stage, 4 or more; each of the next three has half as many again.
        lr: peak learning rate.
        top: share of an item's places that its score is the mean of, 0 to 1.
        smooth: Gaussian over the map, in pixels of a 224-pixel view.
        level: bring each item to the same median brightness first.

    Raises:
        UserError: when a setting is outside its range.
    """

    needs: ClassVar[str] = "pictures"

    def __init__(
        self,
        *,
        steps: int = 600,
        batch_size: int = 16,
        width: int = 24,
        lr: float = 3e-3,
        top: float = 0.002,
        smooth: float = 2.0,
        level: bool = True,
    ) -> None:
        if steps < 1 or batch_size < 1 or width < 4 or lr <= 0:
            raise UserError(
                f"steps={steps}, batch_size={batch_size}, width={width} and lr={lr:g} were given",
                "give 1 step and item or more, a width of 4 or more, and a rate above 0",
            )
        checked(top, smooth)
        self.steps, self.batch_size, self.width, self.lr = steps, batch_size, width, lr
        self.top, self.smooth, self.level = top, smooth, level
        self.net: nn.Module = nn.Identity()

    def fit(self, eye: Eye, store: Store, rows: np.ndarray, *, seed: int = 0) -> Self:
        """Learn from good items with faults drawn on them; order, faults and weights follow the seed."""
        chance = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.net = eye.device.place(_Finder(store.shape[0], self.width)).train()
        optimizer = torch.optim.AdamW(self.net.parameters(), lr=self.lr, weight_decay=1e-2)
        order = torch.zeros(0, dtype=torch.int64)
        with progress.bar("planted", self.steps) as bar:
            for step in range(self.steps):
                if not len(order):
                    order = torch.randperm(len(rows), generator=chance)
                mine, order = order[: self.batch_size], order[self.batch_size :]
                raw = store.batch(rows[mine.numpy()]).to(eye.device.device)
                good = _turn(eye.looks.natural(view(eye, raw, self.level)).clamp(0, 1), chance)
                faulty, where = plant(good, chance)
                target = (where > 0.25).float()
                factor = min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / self.steps))
                for group in optimizer.param_groups:
                    group["lr"] = self.lr * factor
                with eye.device.autocast():
                    found = self.net(eye.looks.normalise(faulty))
                loss = _focal(found.float(), functional.adaptive_max_pool2d(target, found.shape[2:]))
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                bar.advance(1, f"loss {loss.item():.4f}" if step % 10 == 0 else "")
        self.net.eval()
        return self

    @torch.no_grad()
    def score(self, eye: Eye, store: Store, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scores (N,) and maps (N, S, S)."""
        scores, maps = [], []
        for raw in eye.batches(store, rows):
            x = view(eye, raw, self.level)
            with eye.device.autocast():
                found = self.net(x)[:, 0].float()
            scores.append(strongest(found, self.top))
            maps.append(enlarge(found, x.shape[-1], self.smooth))
        return np.concatenate(scores), np.concatenate(maps)

    @torch.no_grad()
    def places(self, eye: Eye, raw: Tensor) -> Tensor:
        """Vectors of all places (B, D, h, w): what the network knows before it decides."""
        if not isinstance(self.net, _Finder):
            raise UserError("planted has learnt from nothing yet", "call fit first")
        with eye.device.autocast():
            return self.net.features(view(eye, raw, self.level)).float()


class _Finder(nn.Module):
    """Pictures (B, C, S, S) to logits (B, 1, S / 2, S / 2): four stages down, and up again with what each saw."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        widths = [width, width * 3 // 2, width * 9 // 4, width * 27 // 8]
        self.down = nn.ModuleList(_block(a, b, 2) for a, b in zip([channels, *widths], widths, strict=False))
        self.up = nn.ModuleList(_block(a + b, b, 1) for a, b in zip(widths[1:], widths[:-1], strict=True))
        self.leave = nn.Conv2d(width, 1, 1)
        _, bias = self.leave.parameters()
        nn.init.constant_(bias, -3.0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.leave(self.features(x))
        return out

    def features(self, x: Tensor) -> Tensor:
        """The last map before the decision (B, width, S / 2, S / 2)."""
        seen = []
        for stage in self.down:
            x = stage(x)
            seen.append(x)
        for stage, before in zip(reversed(self.up), reversed(seen[:-1]), strict=True):
            x = stage(torch.cat([functional.interpolate(x, before.shape[2:], mode="nearest"), before], 1))
        return x


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, s in ((before, stride), (after, 1)):
        layers += [nn.Conv2d(a, after, 3, s, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _turn(x: Tensor, chance: torch.Generator) -> Tensor:
    """The batch mirrored, and a little brighter or darker."""
    for axis in (2, 3):
        if torch.rand(1, generator=chance) < 0.5:
            x = x.flip(axis)
    return (x * (0.9 + 0.2 * torch.rand(len(x), 1, 1, 1, generator=chance)).to(x.device)).clamp(0, 1)


def _focal(found: Tensor, target: Tensor) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002, gamma 2): the many easy good pixels weigh little."""
    each = functional.binary_cross_entropy_with_logits(found, target, reduction="none")
    missed = (found.sigmoid() - target).abs()
    return (missed.square() * each).mean() * 10
