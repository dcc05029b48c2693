"""A machine that turns, with faults where they are asked for."""

import numpy as np
import pandas as pd

LENGTH = 500  # steps of a recording


def recording(rng: np.random.Generator, faults: tuple[str, ...] = ()) -> pd.DataFrame:
    """A machine that turns: two sensors, one behind the other, and a load that wanders."""
    t = np.arange(LENGTH)
    phase = rng.uniform(0, 6)
    load = np.convolve(rng.normal(size=LENGTH + 40), np.ones(41) / 41, "valid") * 4
    x = np.stack([np.sin(t / 5 + phase) * (2 + load), 40 + 5 * np.cos(t / 5 + phase - 0.6), load])
    x += 0.05 * rng.normal(size=x.shape) * np.array([[1], [5], [1]])
    marks = np.full(LENGTH, "normal", dtype=object)
    for number, fault in enumerate(faults):
        at = 100 + 180 * number
        part = slice(at, at + (4 if fault == "spike" else 40))
        if fault == "spike":
            x[0, part] += 6
        elif fault == "stuck":
            x[1, part] = x[1, at]
        marks[part] = fault
    return pd.DataFrame({"time": t, "a": x[0], "b": x[1], "load": x[2], "label": marks})
