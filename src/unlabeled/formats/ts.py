"""The `.ts` files of the UCR and UEA archives: a header of `@` lines, then one recording a line.

Variables are divided by `:`, values by `,`, a missing value is `?`, the class comes last.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unlabeled.formats import Unreadable
from unlabeled.formats.record import Recording, made


def read(path: Path) -> Mapping[str, Recording]:
    """All recordings of the file by the number of their line among the data, from 0.

    Raises:
        Unreadable: when there is no `@data`, or a line cannot be understood; the line is named.
    """
    head: dict[str, str] = {}
    out: dict[str, Recording] = {}
    within = False
    with path.open(encoding="utf-8-sig") as file:
        for number, raw in enumerate(file, 1):
            line = raw.strip()
            if not line or line.startswith("#"):
                continue
            if not within and line.startswith("@"):
                word, _, rest = line[1:].partition(" ")
                within = word.lower() == "data"
                head[word.lower()] = rest.strip().lower()
            elif within:
                out[str(len(out))] = _recording(line, head, number)
            else:
                raise Unreadable(f"line {number} stands before @data and is no header")
    if not out:
        raise Unreadable("it has no data after its header")
    return out


def _recording(line: str, head: Mapping[str, str], number: int) -> Recording:
    if head.get("timestamps", "false").startswith("true"):
        raise Unreadable("it has time stamps, which are only understood in tables (.csv, .parquet)")
    parts = line.split(":")
    labelled = head.get("classlabel", head.get("targetlabel", "false")).startswith("true")
    label = parts.pop().strip() if labelled else None
    try:
        channels = [
            np.array([np.nan if v.strip() in ("?", "NaN", "nan", "") else float(v) for v in part.split(",")])
            for part in parts
        ]
    except ValueError as fault:
        raise Unreadable(f"line {number}: {fault}") from None
    longest = max(map(len, channels), default=0)
    values = np.full((len(channels), longest), np.nan, np.float32)
    for i, channel in enumerate(channels):
        values[i, : len(channel)] = channel
    names = ("value",) if len(channels) == 1 else tuple(f"v{i}" for i in range(len(channels)))
    try:
        return made(values, names, label=None if label in ("?", "") else label)
    except Unreadable as fault:
        raise Unreadable(f"line {number}: {fault}") from None
