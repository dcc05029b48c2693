"""Any picture encoder of the timm library by its name: `resnet18`, `convnext_atto`, `vit_tiny_patch16_224`, ...

Below about 40 pixels a ResNet's first layer would throw away most of the picture; `stem="auto"` then takes the
small-picture stem (3 x 3, stride 1, no max-pool) that CIFAR studies use (Chen et al. 2020, arXiv:2002.05709, App. B.9).
"""

import difflib
from abc import abstractmethod
from typing import Any, Literal, cast

from torch import Tensor, nn

from unlabeled.encoders import Encoder, parts_of
from unlabeled.encoders._build import FIXED_SIZE
from unlabeled.errors import UserError


class Network(nn.Module):
    """What timm's networks answer; a type alone."""

    num_features: int  # channels of the last map; `head_hidden_size` those of the features

    @abstractmethod
    def forward_features(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to the last map or tokens."""

    @abstractmethod
    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """That map or these tokens to pooled features (B, D)."""


class Timm(Encoder):
    """An encoder from timm by name, with any number of channels and a stem that suits the picture size.

    Args:
        channels: channels C of the pictures.
        size: side of the views in pixels.
        name: a timm model name.
        stem: `full` as timm builds it, `small` for 3 x 3 stride 1 without max-pool, `auto` takes `small` up to 40 px.
        drop_path: stochastic depth, 0 to below 1.
        pretrained: start from timm's published weights; they must be in the local cache when the machine is offline.

    Raises:
        UserError: when timm has no such model, or its weights cannot be had.

    >>> import torch
    >>> Timm(1, 32, name="resnet18")(torch.zeros(2, 1, 32, 32)).shape
    torch.Size([2, 512])
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        name: str = "resnet18",
        stem: Literal["auto", "full", "small"] = "auto",
        drop_path: float = 0.0,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        import timm

        if not 0 <= drop_path < 1:
            raise UserError(f"a drop_path of {drop_path} was given", "give a share from 0 up to, but not, 1")
        settings: dict[str, Any] = {
            "num_classes": 0,
            "in_chans": channels,
            "drop_path_rate": drop_path,
            "pretrained": pretrained,
        }
        if not timm.is_model(name):
            near = difflib.get_close_matches(name, timm.list_models(), n=3)
            raise UserError(
                f'timm has no model "{name}"', f"did you mean {' or '.join(near)}" if near else "see timm.list_models()"
            )
        try:
            if any(word in name for word in FIXED_SIZE):
                settings["img_size"] = size
            self.net = _made(name, settings)
        except (OSError, RuntimeError) as error:
            if not pretrained:
                raise
            first = str(error).splitlines()[0]
            raise UserError(
                f"the published weights of {name} cannot be had ({first})", "go online once, or leave out pretrained"
            ) from error
        if stem == "small" or (stem == "auto" and size <= 40):
            self._small_stem(channels)
        self.token_dim = int(self.net.num_features)
        self.dim = int(getattr(self.net, "head_hidden_size", 0) or self.token_dim)  # some widen the features at the end

    def _small_stem(self, channels: int) -> None:
        conv = getattr(self.net, "conv1", None)
        if isinstance(conv, nn.Conv2d) and hasattr(self.net, "maxpool"):
            self.net.conv1 = nn.Conv2d(channels, conv.out_channels, 3, 1, 1, bias=False)
            nn.init.kaiming_normal_(self.net.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.net.maxpool = nn.Identity()

    def in_order(self) -> list[nn.Module]:
        """The network's own parts, stem first."""
        return parts_of(self.net)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to pooled features (B, D)."""
        features: Tensor = self.net(x)
        return features

    def tokens(self, x: Tensor) -> Tensor:
        """Pictures (B, C, H, W) to one vector a place of the last map (B, T, D), row by row, class tokens left out."""
        return self._places(self.net.forward_features(x))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features (B, D) and one vector a place (B, T, D), in one pass."""
        maps = self.net.forward_features(x)
        return self.net.forward_head(maps, pre_logits=True), self._places(maps)

    def _places(self, maps: Tensor) -> Tensor:
        if maps.ndim == 4:
            grid = maps if maps.shape[1] == self.token_dim else maps.permute(0, 3, 1, 2)
            return grid.flatten(2).transpose(1, 2)
        return maps[:, int(getattr(self.net, "num_prefix_tokens", 0)) :]


def _made(name: str, settings: dict[str, Any]) -> Network:
    """The network, without those settings that it does not take."""
    import timm

    try:
        return cast(Network, timm.create_model(name, **settings))
    except TypeError as error:
        strange = [key for key in ("drop_path_rate", "img_size") if key in settings and f"'{key}'" in str(error)]
        if not strange:
            raise
        if "drop_path_rate" in strange and settings["drop_path_rate"]:
            raise UserError(f"{name} takes no drop_path", "leave it out") from error
        return _made(name, {key: value for key, value in settings.items() if key not in strange})
