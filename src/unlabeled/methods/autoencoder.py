"""Squeeze a picture into a few numbers and paint it again from them (Hinton and Salakhutdinov 2006,
doi:10.1126/science.1127647); with noise on the way in, it learns to take noise out (Vincent et al. 2008,
doi:10.1145/1390156.1390294).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from unlabeled.blocks.decoder import Decoder
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality


class Autoencoder(Method):
    """Paint each picture again from a few numbers (Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647).

    Args:
        encoder: gives features (B, D).
        latent: how many numbers the picture is squeezed into.
        noise: standard deviation of the noise that is added to the input and must be taken out, in units of the data's
            own; 0 for none.
        decoder_width: channels of the decoder's last layers.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "pictures in which what matters is large"
    when: ClassVar[str] = "as a yardstick, or to see what can be reconstructed"
    cost: ClassVar[float] = 1.0

    def __init__(self, encoder: Encoder, *, latent: int = 128, noise: float = 0.5, decoder_width: int = 32) -> None:
        super().__init__()
        self.encoder, self.noise = encoder, noise
        self.squeeze = nn.Linear(encoder.dim, latent)
        self.decoder = Decoder(latent, encoder.channels, encoder.size, width=decoder_width)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor]:
        """A mild view (B, C, H, W) with noise, and without."""
        x = modality.augment(batch.x, "mild")
        return (x + self.noise * torch.randn_like(x) if self.noise else x), x

    def loss(self, views: tuple[Tensor, Tensor]) -> Tensor:
        """Mean squared error of the painted picture, a scalar."""
        return functional.mse_loss(self.decoder(self.squeeze(self.encoder(views[0]))).float(), views[1])

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, noisy and painted views (B, C, H, W), to look at."""
        x = modality.plain(batch.x)
        noisy = x + self.noise * torch.randn_like(x)
        return x, noisy, self.decoder(self.squeeze(self.encoder(noisy))).float()
