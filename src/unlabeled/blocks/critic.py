"""Tells real pairs of picture and code from made ones, with a slope that is held within bounds."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from unlabeled.settings import within


class Critic(nn.Module):
    """Strided convolutions down to 4 x 4 or less, then a perceptron on picture and code together, all spectrally
    normalised (Miyato et al. 2018, arXiv:1802.05957).

    Args:
        channels: channels of the pictures.
        size: their side in pixels.
        latent: length of the codes.
        width: channels of the first layer; they double with each halving, up to eight times.

    Raises:
        UserError: when the width is below 1.

    >>> Critic(1, 32, 8)(torch.zeros(2, 1, 32, 32), torch.zeros(2, 8)).shape
    torch.Size([2, 1])
    """

    def __init__(self, channels: int, size: int, latent: int, *, width: int = 32) -> None:
        super().__init__()
        within("a critic", {"critic_width": width}, 1)
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(channels, width, 3, 1, 1)), nn.LeakyReLU(0.2)]
        now, side = width, size
        while side > 4:
            after = min(2 * now, 8 * width)
            layers += [spectral_norm(nn.Conv2d(now, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
            now, side = after, side // 2
        self.look = nn.Sequential(*layers, nn.Flatten())
        inner = now * side * side
        self.read = nn.Sequential(spectral_norm(nn.Linear(latent, 128)), nn.LeakyReLU(0.2))
        self.both = nn.Sequential(
            spectral_norm(nn.Linear(inner + 128, 256)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(256, 1))
        )

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Pictures (B, C, H, W) and codes (B, latent) to scores (B, 1), high for pairs that look real."""
        scores: Tensor = self.both(torch.cat([self.look(x), self.read(z)], 1))
        return scores.float()
