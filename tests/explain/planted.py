"""Items whose class is decided at a known place, and small encoders: here the truth of a map is known."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder, _build
from unlabeled.encoders.timm import Timm
from unlabeled.explain import Score
from unlabeled.explain._questions import Lens, of_class
from unlabeled.protocols.linear import Linear
from unlabeled.settings import Training

CPU = Training(device="cpu", threads=1, batch_size=32)
VIT = "vit(width=64, depth=2, heads=2, patch_size=4)"


class Small(Timm):
    """timm's smallest ResNet with less stride: 4 x 4 places of 32 pixels, a hundredth of ResNet-18's work."""

    def __init__(self) -> None:
        super().__init__(1, 64, name="test_resnet")
        self.net.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.net.maxpool = nn.Identity()


class OverTime(Encoder):
    """Convolutions over time with a maximum: a small encoder of series (B, C, T)."""

    def __init__(self, channels: int = 3, width: int = 24) -> None:
        super().__init__()
        self.channels, self.size, self.dim, self.token_dim = channels, 64, width, width
        self.net = nn.Sequential(
            nn.Conv1d(channels, width, 5, 2, 2), nn.ReLU(), nn.Conv1d(width, width, 5, 2, 2), nn.ReLU()
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x).amax(2)

    def tokens(self, x: Tensor) -> Tensor:
        return self.net(x).transpose(1, 2)


@dataclass
class Planted:
    """Views, their classes, the places that decide, and the score of each item's own class."""

    encoder: Encoder
    views: Tensor
    classes: Tensor
    where: Tensor  # (...) bool, the same for all items
    lens: Lens
    score: Score
    probe: Linear


def build(kind: str, items: int = 8) -> Planted:
    """Noise everywhere; in the class's corner (pictures) or moment (series) a pattern that tells the class alone."""
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(1)
    y = torch.arange(240) % 2
    if kind == "series":
        encoder: Encoder = OverTime()
        x = 0.3 * torch.randn(240, 3, 64, generator=chance)
        x[:, 0] = 1
        x[y == 1, 1, 40:52] += torch.tensor([2.0, -2.0]).repeat(6)
        where = torch.zeros(64, dtype=torch.bool)
        where[40:52] = True
    else:
        encoder = Small() if kind == "resnet" else _build.build(_build.spec(VIT), 1, 32)
        x = 0.3 * torch.randn(240, 1, 32, 32, generator=chance)
        x[y == 1, 0, :8, 24:] += 2 * (torch.arange(64).view(8, 8) % 2 * 2.0 - 1)
        where = torch.zeros(32, 32, dtype=torch.bool)
        where[:8, 24:] = True
    encoder.eval().requires_grad_(False)
    with torch.no_grad():
        features = encoder(x)
    probe = Linear(strength=1e-3).fit(features[:200].numpy(), y[:200].numpy())
    assert (probe.predict(features[200:].numpy()).argmax(1) == y[200:].numpy()).mean() > 0.9
    lens = Lens.of(encoder, features[:200])
    shown = 200 + np.flatnonzero(y[200:].numpy() == 1)[:items]
    weights, bias = torch.from_numpy(probe.weights).float(), torch.from_numpy(probe.bias).float()
    return Planted(encoder, x[shown], y[shown], where, lens, of_class(lens, weights, bias, y[shown]), probe)
