"""A generator, an inference network and a discriminator that must not tell (picture, its inferred code) from
(generated picture, its code), so that inference learns to read pictures (BiGAN: Donahue et al. 2016, arXiv:1605.09782;
ALI: Dumoulin et al. 2016, arXiv:1606.00704).

Each side meets the other with its weights held still, so one backward pass serves both. Spectral norm keeps the
discriminator's slope within bounds (Miyato et al. 2018, arXiv:1802.05957). Codes of generated pictures must also be
inferred right (Li et al. 2017, arXiv:1709.01215): with a tenth of that weight the encoder learnt nothing on digits.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, softplus

from unlabeled.blocks import frozen
from unlabeled.blocks.critic import Critic
from unlabeled.blocks.decoder import Decoder
from unlabeled.encoders import Encoder
from unlabeled.methods import Batch, Method
from unlabeled.modalities import Modality
from unlabeled.settings import within


class GAN(Method):
    """Generate and infer against a discriminator of pairs (BiGAN: Donahue et al. 2016, arXiv:1605.09782).

    Args:
        encoder: gives features (B, D); it is the trunk of the inference network.
        latent: how many numbers a picture is generated from, 1 or more.
        cycle: weight of inferring the codes of generated pictures right, 0 or more.
        decoder_width: channels of the generator's last layers.
        critic_width: channels of the discriminator's first layer.
    """

    modalities: ClassVar[tuple[str, ...]] = ("image",)
    family: ClassVar[str] = "generative"
    wants: ClassVar[str] = "some thousand pictures of one kind of scene"
    when: ClassVar[str] = "when new pictures shall be drawn, sharp but risky"
    cost: ClassVar[float] = 3.0
    lr: ClassVar[float] = 4e-4
    betas: ClassVar[tuple[float, float]] = (0.5, 0.999)

    def __init__(
        self,
        encoder: Encoder,
        *,
        latent: int = 64,
        cycle: float = 10.0,
        decoder_width: int = 32,
        critic_width: int = 32,
    ) -> None:
        super().__init__()
        within("gan", {"latent": latent}, 1)
        within("gan", {"cycle": cycle}, 0)
        self.encoder, self.cycle, self.latent = encoder, cycle, latent
        self.inference = nn.Linear(encoder.dim, latent)
        self.generator = Decoder(latent, encoder.channels, encoder.size, width=decoder_width)
        self.discriminator = Critic(encoder.channels, encoder.size, latent, width=critic_width)

    def views(self, batch: Batch, modality: Modality) -> Tensor:
        """A mild view (B, C, H, W) of each item."""
        return modality.augment(batch.x, "mild")

    def loss(self, views: Tensor) -> dict[str, Tensor]:
        """What each side loses, generator and inference together, and what inference loses on generated pictures."""
        z = torch.randn(len(views), self.latent, device=views.device)
        painted = self.generator(z).float()
        read, back = self.inference(self.encoder(torch.cat([views, painted]))).float().chunk(2)
        real, fake = self.discriminator(torch.cat([views, painted.detach()]), torch.cat([read.detach(), z])).chunk(2)
        seen, made = frozen(self.discriminator, torch.cat([views, painted]), torch.cat([read, z])).chunk(2)
        return {
            "discriminator": (softplus(-real) + softplus(fake)).mean(),
            "generator": (softplus(seen) + softplus(-made)).mean(),
            "cycle": self.cycle * mse_loss(back, z),
        }

    def watch(self, views: Tensor) -> tuple[dict[str, float], str]:
        """How varied generated pictures are against real ones: their standard deviation, 1 where it is the same."""
        painted = self.sample(len(views), torch.Generator().manual_seed(0))
        spread = [x.flatten(1).float().std(0, correction=0).mean() for x in (painted, views)]
        varied = float(spread[0] / spread[1].clamp_min(1e-6))
        return {"variety": varied}, "" if varied > 0.3 else "generated pictures are all alike; lower the learning rate"

    def reconstruct(self, batch: Batch, modality: Modality) -> tuple[Tensor, Tensor, Tensor]:
        """Original, what is seen of it (all), and generated from the inferred code; views (B, C, H, W), to look at."""
        x = modality.plain(batch.x)
        return x, x, self.generator(self.inference(self.encoder(x))).float()

    def sample(self, count: int, chance: torch.Generator) -> Tensor:
        """New pictures (count, C, H, W), generated from mere chance."""
        z = torch.randn(count, self.latent, generator=chance).to(self.inference.weight.device)
        pictures: Tensor = self.generator(z)
        return pictures.float()
