"""Follow a transformer's attention through all its blocks: how much of each patch is mixed into what comes out.

Abnar & Zuidema (2020, arXiv:2005.00928): the mean of the heads, half of it the residual way, multiplied from block to
block. Only attention is followed, so the map says where the encoder looks and not what for: it is the same for every
score.
"""

from typing import Any

import torch
from torch import Tensor, nn

from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.explain import Score, _places


class Rollout:
    """Attention roll-out: what each patch adds to what comes out, by attention alone (Abnar & Zuidema 2020).

    For transformers; the map is the same whatever the score is.

    References:
        arXiv:2005.00928
    """

    def explain(self, score: Score, encoder: Encoder, views: Tensor) -> Tensor:
        """How much each place of views (B, C, ...) is attended to: (B, ...), 0 or more."""
        attentions: list[Tensor] = []

        def note(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            attentions.append(_weights(module, inputs[0], named.get("attn_mask")))

        layers = [m for m in encoder.modules() if _attends(m)]
        if not layers:
            raise UserError("the encoder has no attention to roll out", "take grad_cam")
        handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
        try:
            with torch.no_grad():
                tokens = encoder.tokens(views).shape[1]
        finally:
            for handle in handles:
                handle.remove()
        total = torch.eye(attentions[0].shape[1], device=views.device)
        for attention in attentions:
            if attention.shape[1:] != total.shape[-2:]:
                raise UserError(f"the blocks of {type(encoder).__name__} attend to different tokens", "take grad_cam")
            total = (attention + torch.eye(attention.shape[1], device=views.device)) / 2 @ total
        before = total.shape[2] - tokens  # class tokens stand before the patches
        out = total[:, 0] if before and _reads_first(encoder) else total[:, before:].mean(1)
        each = out[:, before:].reshape(len(views), -1, tokens).mean(1)  # of an encoder that reads channel by channel
        return _places.spread(each, tuple(views.shape[2:]))


def _attends(module: nn.Module) -> bool:
    """Whether this is self-attention as timm's transformers have it."""
    return all(hasattr(module, name) for name in ("qkv", "num_heads", "q_norm", "k_norm", "scale"))


def _weights(layer: Any, x: Tensor, mask: Tensor | None) -> Tensor:
    """Mean attention of the heads (B, T, T) of timm's attention on tokens (B, T, D), rows summing to 1.

    A mask says which tokens may be looked at (bool), or what is added to the logits.
    """
    batch, tokens, _ = x.shape
    q, k, _ = layer.qkv(x).reshape(batch, tokens, 3, layer.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    logits = (layer.q_norm(q) * layer.scale) @ layer.k_norm(k).transpose(-2, -1)  # (B, heads, T, T)
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else logits + mask
    mean: Tensor = logits.float().softmax(-1).mean(1)
    return mean


def _reads_first(encoder: Encoder) -> bool:
    """Whether a timm encoder's features are its class token and not the mean of its patches."""
    first = getattr(encoder, "members", (encoder,))[0]  # whose places those of an ensemble are
    return getattr(getattr(first, "net", None), "global_pool", "token") == "token"
