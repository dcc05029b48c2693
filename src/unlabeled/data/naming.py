"""Labels of single steps: their names, and which of them a stretch of steps bears."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from unlabeled.formats import cells, steps

PURE = 0.9  # share of the steps that must bear one label


def mark_names(folder: Path) -> Mapping[str, str] | None:
    """Names of labels that are told as numbers, from a table `id,name` beside the recordings; None where there is none.

    With such a table, what it calls unlabelled, and what it does not name, is no label.
    """
    for file in sorted(folder.glob("*.csv")):
        if steps.columns(file) == ["id", "name"]:
            table = cells.table(file, cells.layout(file), "str")
            out = {str(k).strip(): str(v).strip() for k, v in table.to_numpy()}
            short = Counter(map(_number, out))  # 1 is told for 01 too, where no other key is that number
            out |= {_number(k): v for k, v in out.items() if short[_number(k)] == 1}
            return {k: v for k, v in out.items() if v.lower() not in ("unlabelled", "unlabeled", "none", "unknown", "")}
    return None


def common(told: np.ndarray, names: Mapping[str, str] | None) -> str | None:
    """The label (by its name, where a table tells names) that at least nine in ten of the steps (T,) bear, or None."""
    [(word, count)] = Counter(told.tolist()).most_common(1)
    if word is None or count < PURE * len(told):
        return None
    return str(word) if names is None else name_of(str(word), names)


def name_of(mark: str, names: Mapping[str, str]) -> str | None:
    """The name of a label as a table tells it, 01 by 1 where it does not tell of 01; None where it tells none."""
    return names.get(mark, names.get(_number(mark)))


def _number(word: str) -> str:
    """A number as text without the noughts that it begins with; other words as they are."""
    return (word.lstrip("0") or "0") if word.isdecimal() else word
