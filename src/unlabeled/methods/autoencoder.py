"""Squeeze a picture into a few numbers and paint it again from them (Hinton and Salakhutdinov 2006,
doi:10.1126/science.1127647); with noise on the way in, it learns to take noise out (Vincent et al. 2008,
doi:10.1145/1390156.1390294).
"""

from typing import ClassVar

from torch import Tensor, nn

from unlabeled.blocks.decoder import Decoder
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.objectives.painting import squared_error
from unlabeled.settings import within


class Autoencoder(Method):
    """Paint each picture again from a few numbers (Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647).

    Args:
        encoder: gives features (B, D).
        latent: how many numbers the picture is squeezed into, 1 or more.
        noise: standard deviation of the noise that is added to the input and must be taken out, in units of the data's
            own; 0 for none.
        decoder_width: channels of the decoder's last layers.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image", "series", "audio")
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "pictures in which what matters is large"
    when: ClassVar[str] = "as a yardstick, or to see what can be reconstructed"
    cost: ClassVar[float] = 1.0

    def __init__(self, encoder: Encoder, *, latent: int = 128, noise: float = 0.5, decoder_width: int = 32) -> None:
        super().__init__()
        within("autoencoder", {"latent": latent}, 1)
        within("autoencoder", {"noise": noise}, 0)
        self.encoder, self.noise = encoder, noise
        self.squeeze = nn.Linear(encoder.dim, latent)
        self.decoder = Decoder(latent, encoder.channels, encoder.size, width=decoder_width, space=encoder.space)

    def views(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor | None]:
        """A mild view (B, C, ...) with noise, without, and which of its values were measured."""
        x = modality.augment(batch.x, "mild")
        return (modality.noisy(x, self.noise) if self.noise else x), x, modality.measured(x)

    def loss(self, views: tuple[Tensor, Tensor, Tensor | None]) -> Tensor:
        """Mean squared error of what is painted, a scalar."""
        noisy, clean, known = views
        return squared_error(self.decoder(self.squeeze(self.encoder(noisy))), clean, known)

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, noisy and painted views (B, C, ...), to look at."""
        x = modality.plain(batch.x)
        noisy = modality.noisy(x, self.noise)
        return x, noisy, self.decoder(self.squeeze(self.encoder(noisy))).float()
