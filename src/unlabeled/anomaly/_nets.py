"""The networks of a detector as named tensors, and back."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from unlabeled.training.devices import Device


def named(nets: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Weights and statistics of all networks, named by their numbers.

    >>> list(named([nn.Linear(2, 1, bias=False)]))
    ['0.weight']
    """
    return {f"{number}.{k}": v for number, net in enumerate(nets) for k, v in net.state_dict().items()}


def again(
    tensors: Mapping[str, Tensor], build: Callable[[Mapping[str, Tensor]], nn.Module], device: Device
) -> list[nn.Module]:
    """The networks again, at rest on the device; `build` makes one that fits the weights it is shown."""
    parts: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, _, rest = name.partition(".")
        parts.setdefault(int(number), {})[rest] = tensor
    out = []
    for _, weights in sorted(parts.items()):
        net = build(weights)
        net.load_state_dict(weights)
        out.append(device.place(net).eval())
    return out
