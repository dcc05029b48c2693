"""What detectors share that consist of networks: these as named tensors, and back."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from unlabeled.errors import UserError
from unlabeled.training.devices import Device


class Netted(ABC):
    """A detector that is one network, or several that judge as their mean.

    Attributes:
        nets: the networks, none before it has learnt.
    """

    nets: list[nn.Module]

    @abstractmethod
    def fitting(self, weights: Mapping[str, Tensor]) -> nn.Module:
        """A network that these weights fit."""

    def keep(self) -> dict[str, Tensor]:
        """Weights and statistics of all networks, named by their numbers."""
        return {f"{number}.{k}": v for number, net in enumerate(self.nets) for k, v in net.state_dict().items()}

    def take(self, kept: Mapping[str, Tensor], device: Device) -> Self:
        """Know the networks again, at rest on the device."""
        parts: dict[int, dict[str, Tensor]] = {}
        for name, tensor in kept.items():
            number, _, rest = name.partition(".")
            parts.setdefault(int(number), {})[rest] = tensor
        self.nets = []
        for _, weights in sorted(parts.items()):
            net = self.fitting(weights)
            net.load_state_dict(weights)
            self.nets.append(device.place(net).eval())
        return self

    def learnt(self) -> list[nn.Module]:
        """The networks.

        Raises:
            UserError: when there are none yet.
        """
        if not self.nets:
            raise UserError(f"{type(self).__name__.lower()} has learnt from nothing yet", "call fit first")
        return self.nets
