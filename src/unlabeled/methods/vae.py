"""An autoencoder whose numbers are drawn from a bell curve around what the encoder says, so that new pictures can be
painted from mere chance (Kingma and Welling 2013, arXiv:1312.6114; beta: Higgins et al. 2017).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from unlabeled.blocks.decoder import Decoder
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.gauss import divergence
from unlabeled.objectives.painting import squared_error
from unlabeled.settings import within

WIDEST = 8.0  # bound of log variances: one far beyond would let a single draw outweigh all others


class VAE(Method):
    """Paint each picture from numbers that follow a bell curve (Kingma and Welling 2013, arXiv:1312.6114).

    Args:
        encoder: gives features (B, D).
        latent: how many numbers, 1 or more.
        beta: weight of the bell curve against the picture, both in nats per pixel and channel at unit noise, 0 or more;
            1 is the likelihood's own.
        decoder_width: channels of the decoder's last layers.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio")
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "pictures in which what matters is large"
    when: ClassVar[str] = "when new pictures shall be drawn, blurred but safe"
    cost: ClassVar[float] = 0.9

    def __init__(self, encoder: Encoder, *, latent: int = 128, beta: float = 1.0, decoder_width: int = 32) -> None:
        super().__init__()
        within("vae", {"latent": latent}, 1)
        within("vae", {"beta": beta}, 0)
        self.encoder, self.beta = encoder, beta
        self.squeeze = nn.Linear(encoder.dim, 2 * latent)
        self.decoder = Decoder(latent, encoder.channels, encoder.size, width=decoder_width, space=encoder.space)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor | None]:
        """A mild view (B, C, ...) of each item, and which of its values were measured."""
        x = modality.augment(batch.x, "mild")
        return x, modality.measured(x)

    def loss(self, views: tuple[Tensor, Tensor | None]) -> dict[str, Tensor]:
        """Half the squared error and beta times the divergence, both per value that was measured."""
        x, known = views
        mean, log_variance = self.code(x)
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        values = x[0].numel() if known is None else (known.sum() / len(x)).clamp(min=1)
        return {
            "reconstruction": 0.5 * squared_error(self.decoder(z), x, known),
            "divergence": self.beta / values * divergence(mean, log_variance).sum(1).mean(),
        }

    def code(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance (B, latent) of views (B, C, H, W)."""
        mean, log_variance = self.squeeze(self.encoder(x)).float().chunk(2, 1)
        return mean, log_variance.clamp(-WIDEST, WIDEST)

    def watch(self, views: tuple[Tensor, Tensor | None]) -> tuple[dict[str, float], str]:
        """How many of the numbers say something: those whose divergence is above 0.01 nats on average."""
        active = int((divergence(*self.code(views[0])).mean(0) > 0.01).sum())
        return {"active units": float(active)}, "" if active else "no number says anything; lower beta"

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, what is seen of it (all), and painted from the mean code; views (B, C, H, W), to look at."""
        x = modality.plain(batch.x)
        return x, x, self.decoder(self.code(x)[0]).float()

    def sample(self, count: int, chance: torch.Generator) -> Tensor:
        """New pictures (count, C, H, W), painted from draws of the bell curve."""
        z = torch.randn(count, self.squeeze.out_features // 2, generator=chance)
        pictures: Tensor = self.decoder(z.to(self.squeeze.weight.device))
        return pictures.float()
