"""Optimizers and the learning-rate schedule; the schedule is a pure function of the step.

Weight decay acts on matrices and never on biases and norms (Chen et al. 2020; He et al. 2021, App. A): on what has two
dimensions or more and is not called `bias` or `shift`. LARS follows You et al. 2017 (arXiv:1708.03888) with the trust
coefficient 0.001 that SimCLR uses.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from unlabeled.encoders import Encoder
from unlabeled.settings import Training

BIASES = ("bias", "shift")  # names of parameters that are added, of any shape


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling with momentum 0.9, for very large batches.

    Args:
        groups: parameter groups, each with `weight_decay`; the adaptation is left out where `adapted` is false.
        lr: peak learning rate, about 0.3 * batch / 256.
        momentum: 0 to 1.
        trust: trust coefficient.
    """

    def __init__(
        self, groups: Iterable[dict[str, Any]], *, lr: float, momentum: float = 0.9, trust: float = 1e-3
    ) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "adapted": True})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Make one step from the gradients that stand in the parameters; no closure is called."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                update = p.grad
                if group["adapted"]:
                    update = update + group["weight_decay"] * p
                    ratio = group["trust"] * p.norm() / update.norm().clamp_min(1e-12)
                    update = update * torch.where(p.norm() > 0, ratio, torch.ones_like(ratio))
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].mul_(group["momentum"]).add_(update)
                p.sub_(group["lr"] * state["momentum"])


def groups(module: nn.Module, weight_decay: float, scale: float = 1.0) -> list[dict[str, Any]]:
    """Two parameter groups, with weight decay and LARS's adaptation, and without; `scale` multiplies the learning rate
    of both.
    """
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    decayed = {name for name, p in trained.items() if p.ndim > 1 and name.rpartition(".")[2] not in BIASES}
    matrices = [p for name, p in trained.items() if name in decayed]
    others = [p for name, p in trained.items() if name not in decayed]
    out: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay, "scale": scale, "adapted": True},
        {"params": others, "weight_decay": 0.0, "scale": scale, "adapted": False},
    ]
    return [g for g in out if g["params"]]


def by_depth(encoder: Encoder, weight_decay: float, scale: float, decay: float) -> list[dict[str, Any]]:
    """Parameter groups of an encoder whose parts learn at `decay` times the rate of the part after them (Clark et al.
    2020, arXiv:2003.10555); what belongs to no part learns as the first one does.
    """
    if decay == 1:
        return groups(encoder, weight_decay, scale)
    parts, out, known = encoder.in_order(), list[dict[str, Any]](), set[int]()
    for number, part in enumerate(parts):
        for group in groups(part, weight_decay, scale * decay ** (len(parts) - 1 - number)):
            out.append(group | {"params": [p for p in group["params"] if id(p) not in known]})
            known |= {id(p) for p in group["params"]}
    rest = nn.ParameterList(p for p in encoder.parameters() if id(p) not in known)
    out += groups(rest, weight_decay, scale * decay ** max(0, len(parts) - 1))
    return [g for g in out if g["params"]]


def build(
    parts: list[dict[str, Any]], training: Training, lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> torch.optim.Optimizer:
    """The optimizer that the settings name, over the given parameter groups; `betas` are those of Adam's moments."""
    fused = all(p.device.type in ("cpu", "cuda") for g in parts for p in g["params"])
    if training.optimizer == "sgd":
        return torch.optim.SGD(parts, lr=lr, momentum=0.9, nesterov=True, fused=fused)
    if training.optimizer == "lars":
        return LARS(parts, lr=lr)
    kind = torch.optim.AdamW if training.optimizer == "adamw" else torch.optim.Adam
    return kind(parts, lr=lr, betas=betas, fused=fused)


def peak_lr(training: Training, recommended: float) -> float:
    """The learning rate asked for, or the method's own for AdamW at batch 64, scaled to optimizer and batch.

    >>> peak_lr(Training(batch_size=256), 1e-3)
    0.002
    """
    if training.lr is not None:
        return training.lr
    share = training.batch_size / 64
    if training.optimizer == "sgd":
        return 0.03 * share
    if training.optimizer == "lars":
        return 0.3 * training.batch_size / 256
    return recommended * math.sqrt(share)


def factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Share of the peak learning rate at a step: a linear rise, then half a cosine down to 0 (or constant).

    >>> factor(0, 100, 0.1, "cosine"), factor(10, 100, 0.1, "cosine")
    (0.1, 1.0)
    """
    rise = max(1, round(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its learning rate: `lr` times the group's own scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
