"""Rows in JSON: one a line, or all in one list, alone or under a name; in UTF-8, or in UTF-16 with its mark."""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TextIO

from unlabeled.formats import Unreadable
from unlabeled.formats.cells import wide
from unlabeled.formats.recording import LONGEST_LINE

LARGEST = 1 << 30  # bytes of one list, which is read as a whole
BEGINNING = 1 << 16  # characters that tell what a file was meant to be
WANTED = 'it holds no list of documents such as [{"text": ..., "label": ...}, ...]'


def lines(path: Path) -> Iterator[dict[str, Any] | str]:
    """The row of each line that is not empty; one that is broken is a row without anything.

    Raises:
        OSError: when the file cannot be read.
        UnicodeError: when it begins as UTF-16 and does not go on so.
    """
    with _opened(path) as file:
        while line := file.readline(LONGEST_LINE):
            if line.strip():
                try:
                    yield _row(json.loads(line))
                except (ValueError, RecursionError):
                    yield {}


def listed(path: Path, alone: Collection[str]) -> Iterator[dict[str, Any] | str]:
    """The rows of a whole file, which may hold a line each all the same.

    Args:
        path: the file.
        alone: names under which one of them makes a single object a row.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no JSON, or holds no rows.
    """
    if path.stat().st_size > LARGEST:
        raise Unreadable(f"it is larger than {LARGEST >> 30} GB: save it as JSON lines")
    try:
        whole = json.loads(_text(path))
    except RecursionError:
        raise ValueError(WANTED) from None
    except json.JSONDecodeError as fault:
        if fault.msg != "Extra data" or next(lines(path), {}) == {}:
            raise
        yield from lines(path)
        return
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        if any(isinstance(whole.get(name), str) for name in alone):
            lists = [[whole]]
        elif not lists and whole and all(isinstance(value, dict) for value in whole.values()):  # column by column
            lists = [[{n: cells.get(k) for n, cells in whole.items()} for k in next(iter(whole.values()))]]
        whole = lists[0] if len(lists) == 1 else None
    if not isinstance(whole, list):
        raise ValueError(WANTED)
    yield from map(_row, whole)


def meant(path: Path, names: Collection[str]) -> bool:
    """Whether a file that is no whole JSON was meant to hold rows with one of these names."""
    try:
        head = _text(path, BEGINNING)
    except (OSError, ValueError):
        return False
    return head.lstrip()[:1] in ("[", "{") and re.search(rf'"(?:{"|".join(names)})"\s*:', head) is not None


def _opened(path: Path) -> TextIO:
    far = wide(path)
    return path.open(
        encoding="utf-16" if far else "utf-8-sig", errors="strict" if far else "surrogateescape", newline="\n"
    )


def _text(path: Path, most: int = -1) -> str:
    with _opened(path) as file:
        return file.read(most)


def _row(value: object) -> dict[str, Any] | str:
    return value if isinstance(value, dict | str) else {}
