"""What the causal model of a run says, and whether it is true: every style is set on its own, do(s), and watched.

The graph claims which factors a style reaches. Here each kind of style is changed alone, on items that need no label,
and the factors that really move are set against the claim.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unlabeled.blocks.causal import EDGE, Causal
from unlabeled.data.prepare import Prepared
from unlabeled.objectives import scm
from unlabeled.study.record import write_json
from unlabeled.training.devices import Device
from unlabeled.training.run import Run

ITEMS = 256  # that are looked at
MOVES = EDGE  # a factor is moved when all items' mean goes further than this, in units of their spread


def examine(run: Run, prepared: Prepared, device: Device, seed: int = 0) -> dict[str, Any] | None:
    """Graph, stability of every factor under every intervention, and the intervention test; None without a model.

    Args:
        run: a finished one.
        prepared: its data; items that may be learnt from are looked at.
        device: from `open_device`.
        seed: of the choice of items and of the styles.

    Returns:
        `kinds` (S names), `adjacency` (S + K, K) without cycles of edges, `reach` (S, K); `effect` (S, K), how far an
        item's factor goes when that kind alone is set to -1 or 1, and `shift` (S, K), how far the mean of all items
        goes, both in units of its spread; `free` (numbers of the factors that the graph says style reaches), `held`,
        `moved` and `missed` (pairs of kind and factor whose mean moves as claimed, moves unclaimed, does not move as
        claimed), and `words`.
    """
    method = run.method().eval()
    model = getattr(method, "causal", None)
    if not isinstance(model, Causal) or not model.equations.interventions:
        return None
    device.place(method)
    looks = run.modality()
    rows = np.random.default_rng(seed).permutation(prepared.learning)[:ITEMS]
    raw = prepared.store.batch(np.sort(rows)).to(device.device)
    kinds = looks.interventions()
    with torch.no_grad():
        strengths = scm.without_cycles(model.equations.adjacency().cpu(), len(kinds), EDGE)
        u = model.factors(_features(method.encoder, looks.plain(raw), device))
        spread = u.std(0).clamp_min(1e-4)
        effect, shift = torch.zeros(len(kinds), u.shape[1]), torch.zeros(len(kinds), u.shape[1])
        for i in range(len(kinds)):
            for amount in (-1.0, 1.0):
                values = torch.zeros(len(raw), len(kinds), device=device.device)
                values[:, i] = amount
                changed, _ = looks.at(seed, i).intervene(looks.plain(raw), values)
                moved = model.factors(_features(method.encoder, changed, device)) - u
                effect[i] += (moved.abs().mean(0) / spread).cpu() / 2
                shift[i] = torch.maximum(shift[i], (moved.mean(0).abs() / spread).cpu())
    edges = torch.where(strengths > EDGE, strengths, 0.0)
    claimed = scm.reach(edges, len(kinds)) > 0
    moves = shift > MOVES
    found = {
        "kinds": list(kinds),
        "adjacency": _round(strengths),
        "edge": EDGE,
        "reach": _round(scm.reach(edges, len(kinds))),
        "effect": _round(effect),
        "shift": _round(shift),
        "free": [int(j) for j in torch.nonzero(claimed.any(0)).flatten()],
        "held": int((claimed & moves).sum()),
        "moved": int((~claimed & moves).sum()),
        "missed": int((claimed & ~moves).sum()),
    }
    return found | {"words": _words(found)}


def write(folder: Path, name: str, run: Run, prepared: Prepared, device: Device) -> None:
    """Write `causal-<arm>.json` where the run has a causal model."""
    found = examine(run, prepared, device)
    if found is not None:
        write_json(folder / f"causal-{name}.json", found)


def _features(encoder: torch.nn.Module, x: Tensor, device: Device) -> Tensor:
    with device.autocast():
        return torch.cat([encoder(part).float() for part in torch.split(x, 128)])


def _round(x: Tensor) -> list[list[float]]:
    return [[round(float(v), 4) for v in row] for row in x]


def _words(found: Mapping[str, Any]) -> list[str]:
    """The findings in sentences."""
    kinds, effect = found["kinds"], np.array(found["effect"])
    count, free = effect.shape[1], list(found["free"])
    calm = [j for j in range(count) if j not in free]
    out = []
    if free:
        names = ", ".join(str(j + 1) for j in free)
        out.append(
            f"The graph says that style reaches {len(free)} of {count} factors ({names}); the others are content."
        )
    else:
        out.append(f"The graph says that style reaches none of the {count} factors.")
    first = np.argsort(-effect.mean(1))[:3]
    listed = ", ".join(f"{kinds[i]} ({effect[i].mean():.2f})" for i in first)
    out.append(f"Set one at a time, what moves the factors most, in units of their spread: {listed}.")
    if calm and free:
        within, beyond = effect[:, calm].mean(), effect[:, free].mean()
        out.append(
            f"Factors called content move by {within:.2f} of their spread on average, the others by {beyond:.2f}."
        )
    told = found["held"] + found["moved"]
    if told or found["missed"]:
        out.append(
            f"Of {told} pairs of a style and a factor whose mean it moves by more than {MOVES:g} of the spread, the "
            f"graph knows {found['held']}; it claims {found['missed']} that do not move so far."
        )
    else:
        out.append(f"No style moves the mean of any factor by more than {MOVES:g} of its spread, as the graph says.")
    return out
