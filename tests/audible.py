"""Small sounds whose class is heard: tones that rise or fall, low, in the middle or high."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 4_000
CLASSES = [f"{way}-{place}" for way in ("up", "down") for place in ("low", "mid", "high")]


def tone(kind: str, random: np.random.Generator, seconds: float) -> np.ndarray:
    """One sound of a class: a chirp over a fifth with a harmonic, at a level and in a noise of its own."""
    way, place = kind.split("-")
    start = {"low": 250.0, "mid": 450.0, "high": 800.0}[place] * 2 ** random.uniform(-0.25, 0.25)
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = start * 2 ** ((0.6 if way == "up" else -0.6) * time / seconds)
    angle = 2 * np.pi * np.cumsum(pitch) / RATE + random.uniform(0, 6)
    clean = np.sin(angle) + 0.4 * np.sin(2 * angle)
    loud = 10 ** random.uniform(-1.5, -0.5)
    return loud * (clean + 10 ** random.uniform(-2, -0.7) * random.normal(size=len(time)))


def write(root: Path, each: int = 20, seed: int = 0) -> Path:
    """A folder `train/<class>/*.wav` and `test/<class>/*.wav`, every fifth a test item; 0.15 to 0.3 s each."""
    random = np.random.default_rng(seed)
    for kind in CLASSES:
        for number in range(each):
            place = root / ("test" if number % 5 == 0 else "train") / kind
            place.mkdir(parents=True, exist_ok=True)
            soundfile.write(place / f"{number:03d}.wav", tone(kind, random, random.uniform(0.15, 0.3)), RATE)
    return root
