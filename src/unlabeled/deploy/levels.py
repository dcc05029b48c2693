"""What an encoder sees on its way to the features: mean and spread of its early maps, where foreign texture shows.

Detectors on the last features alone miss items that differ in what the encoder has learnt to overlook; Lee et al.
(2018, arXiv:1807.03888) look at several layers for that reason. What differs: the first three stages in one Mahalanobis
distance, with mean and standard deviation over places, instead of one distance a layer whose weights are tuned on
strangers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.encoders.timm import Timm

STAGES = 3


class Levels(nn.Module):
    """Features and, behind them, the statistics of early maps, in one pass.

    Args:
        encoder: in evaluation mode.
        wide: whether the statistics are wanted; without them it gives the features alone.
    """

    def __init__(self, encoder: Encoder, wide: bool) -> None:
        super().__init__()
        self.encoder, self.wide, self.dim = encoder, wide, encoder.dim

    def forward(self, view: Tensor) -> Tensor:
        """Views (B, C, ...) to (B, D + L): D features, then L statistics (none where they are not wanted)."""
        if not self.wide:
            alone: Tensor = self.encoder(view)
            return alone.float()
        if isinstance(self.encoder, Timm) and hasattr(self.encoder.net, "forward_intermediates"):
            net: Any = self.encoder.net  # of timm, which is not typed
            last, maps = net.forward_intermediates(view)
            features = net.forward_head(last, pre_logits=True)
            places = [m.flatten(2) for m in maps[:STAGES]]  # (B, C, T)
        else:
            features, tokens = self.encoder.both(view)
            places = [tokens.transpose(1, 2)]
        told = [stat for p in places for stat in (p.mean(2), (p - p.mean(2, keepdim=True)).square().mean(2).sqrt())]
        return torch.cat([features, *told], 1).float()
