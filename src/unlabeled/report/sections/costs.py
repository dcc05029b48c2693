"""What it cost: minutes, items a second and peak memory of each stage, as measured while it ran."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from unlabeled.progress import count
from unlabeled.report.folder import Absent, Study
from unlabeled.report.section import Section
from unlabeled.report.words import PLAIN, duration

TITLE = "Cost"
STAGES: Mapping[str, str] = {"pretrain": "pretraining", "fit": "fit and predict"}


def section(study: Study) -> Section:
    """Gather one row for each arm and stage, over its seeds."""
    entries = study.json("costs.json")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries) or not entries:
        raise Absent("costs.json lists nothing")
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault((str(entry.get("stage", "")), str(entry.get("arm", ""))), []).append(entry)
    rows = [
        _row(stage, arm, found) for (stage, arm), found in sorted(groups.items(), key=lambda g: g[0][0] != "pretrain")
    ]
    machines = sorted({f"{e.get('device', '?')}, {count(_number(e, 'threads'), 'CPU thread')}" for e in entries})
    try:
        unit = "images" if study.data.get("modality") == "image" else "items"
    except Absent:
        unit = "items"
    encoders: dict[str, list[str]] = {}
    for entry in entries:
        arm = str(entry.get("arm", "")).partition(" (")[0]  # a fit's arm names its protocol too
        if entry.get("encoder") and arm not in encoders.setdefault(str(entry["encoder"]), []) and arm not in PLAIN:
            encoders[str(entry["encoder"])].append(arm)
    whole = 60 * math.fsum(_number(e, "minutes") for e in entries)
    return Section({"rows": rows, "machines": machines, "unit": unit, "encoders": encoders, "whole": duration(whole)})


def _number(entry: dict[str, Any], key: str) -> float:
    value = entry.get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0


def _row(stage: str, arm: str, entries: list[dict[str, Any]]) -> dict[str, str]:
    speed = [v for e in entries if (v := _number(e, "items_per_second"))]
    memory = max(_number(e, "peak_memory_mb") for e in entries)
    seen, steps = (float(np.mean([_number(e, k) for e in entries])) for k in ("items_seen", "steps"))
    return {
        "arm": arm,
        "stage": STAGES.get(stage, stage),
        "seeds": str(len(entries)),
        "time": duration(60 * math.fsum(_number(e, "minutes") for e in entries)),
        "speed": f"{np.mean(speed):,.0f}" if speed else "–",
        "memory": f"{memory:,.0f}" if memory else "–",
        "steps": f"{steps:,.0f}" if steps else "–",
        "seen": f"{seen:,.0f}" if seen else "–",
    }
