"""Find, inside an encoder, the modules whose output is the map of its places."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError

Arrange = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """A module of an encoder.

    Args:
        module: its output holds one vector a place.
        arrange: brings that output into the order of `Encoder.tokens`, (B, T, D).
    """

    module: nn.Module
    arrange: Arrange


def last(encoder: Encoder, views: Tensor) -> list[Layer]:
    """The modules whose outputs may be the map: that whose output is `encoder.tokens`, in any layout and with or
    without class tokens before them, and then those before it with an output of the same shape, the last first.

    Raises:
        UserError: when the tokens are not the output of any module.
    """
    seen: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: Any, output: Any) -> None:
        found = _first(output)
        if isinstance(found, Tensor) and found.ndim in (3, 4):
            seen.append((module, found.clone()))  # a later layer may write into it

    handles = [m.register_forward_hook(note) for m in encoder.modules() if m is not encoder]
    try:
        with torch.no_grad():
            tokens = encoder.tokens(views[:1])
    finally:
        for handle in handles:
            handle.remove()
    inside = (tokens != 0).any(2, keepdim=True)  # behind the end of a recording an encoder may put zeros
    out: list[Layer] = []
    for module, output in reversed(seen):
        for arrange in _arrangements(tokens.shape[1]):
            found = arrange(output)
            if found.shape == tokens.shape and (out or torch.equal(found * inside, tokens)):
                out.append(Layer(module, arrange))
                break
    if not out:
        raise UserError(
            f"the tokens of {type(encoder).__name__} are not the output of one of its modules", "take occlusion"
        )
    return out


def _arrangements(tokens: int) -> tuple[Arrange, ...]:
    return (
        lambda o: o.flatten(2).transpose(1, 2),  # (B, D, H, W) of convolutions, (B, D, T) of those over time
        lambda o: o.flatten(1, -2),  # (B, H, W, D)
        lambda o: o[:, -tokens:],  # (B, class tokens + T, D)
    )


def _first(output: Any) -> Any:
    """What a module gives: of a recurrent one its states, without the last one."""
    return output[0] if isinstance(output, tuple) else output


def activations(layers: Sequence[Layer], score: Callable[[Tensor], Tensor], views: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer says at each place (B, T, D), and the gradient of the score in it (B, T, D).

    It is the first of the layers in which the score has a slope: a transformer that is read by its class token hangs
    on the patches before its last block and on none after it.

    Raises:
        UserError: when the score does not come through the layers.
    """
    kept: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[[nn.Module, Any, Any], None]:
        return lambda _module, _inputs, output: kept.update({number: _first(output)})

    handles = [layer.module.register_forward_hook(keep(i)) for i, layer in enumerate(layers)]
    try:
        with torch.enable_grad():
            total = score(views.detach().requires_grad_()).sum()
    finally:
        for handle in handles:
            handle.remove()
    there = sorted(kept)
    slopes = torch.autograd.grad(total, [kept[i] for i in there], allow_unused=True) if there else ()
    found = [
        (layers[i].arrange(kept[i]).detach().float(), layers[i].arrange(slope).float())
        for i, slope in zip(there, slopes, strict=True)
        if slope is not None
    ]
    if not found:
        raise UserError("the score does not come through the encoder's places", "take occlusion")
    return next((pair for pair in found if bool((pair[1] != 0).any())), found[0])
