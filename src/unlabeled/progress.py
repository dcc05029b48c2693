"""What a person sees while they wait: one bar with speed, time left and a note, or a plain line now and then in a log.

All of it goes to stderr, so that stdout holds results only; `UNLABELED_QUIET=1` silences it.
"""

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # no letters: they end lines, or steer a terminal
LINE_SECONDS = 15.0  # between two lines where stderr is not a terminal


class Bar(Protocol):
    """What `bar` hands out."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Tell that `n` more are done; a note stays until the next one."""
        ...

    def skip(self, n: int) -> None:
        """Tell that `n` more were done before; they do not count for the speed."""
        ...


@contextmanager
def bar(title: str, total: int, start: int = 0) -> Iterator[Bar]:
    """Show how far a job is.

    Args:
        title: what is going on, in a few words.
        total: number of things to do.
        start: number of them that were done before (a resumed run); they do not count for the speed.

    >>> with bar("reading", total=2) as b:
    ...     b.advance()
    ...     b.advance(note="loss 0.31")
    """
    if _quiet():
        yield Silent()
    elif not sys.stderr.isatty():
        yield _Lines(title, total, start)
    else:
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[words]}", markup=False),
        )
        with Progress(*columns, console=_console(), transient=True, refresh_per_second=4) as shown:
            yield _Shown(shown, title, total, start)


def steps(bar: Bar) -> Callable[[int], None]:
    """What a fit calls after each of its steps with 1, and with the number of those that were made before."""
    return lambda n: bar.advance(n) if n == 1 else bar.skip(n)


def say(text: str) -> None:
    """Write one line to stderr, above the bar when there is one."""
    if _quiet():
        return
    text = in_line(text)
    if sys.stderr.isatty():
        _console().print(text, markup=False, highlight=False, soft_wrap=True)
    else:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def count(n: float, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "label"), count(1437, "label"), count(2, "class", "classes")
    ('1 label', '1,437 labels', '2 classes')
    """
    return f"{n:,.0f} {one if n == 1 else many or one + 's'}"


def in_line(text: str) -> str:
    """Text as one line of a terminal: names from data may hold line breaks, and codes that move its cursor.

    >>> in_line("  of two\\nlines \\x1b[2J")
    '  of two lines  [2J'
    """
    return BREAKS.sub(" ", text)


def in_percent(value: float, digits: int = 1) -> str:
    """A share in percent, without the sign of it; only what is exactly all or nothing is written as 100 or 0.

    >>> in_percent(0.873), in_percent(0.9996), in_percent(0.9967, 0), in_percent(1), in_percent(0.00001)
    ('87.3', '99.96', '99.7', '100.0', '<0.01')
    """
    for more in range(2):
        text = f"{100 * value:.{digits + more}f}"
        if not 0 < value < 1 or float(text) not in (0, 100):
            return text
    end = 10.0 ** -(digits + 1)
    return f"<{end:g}" if value < 0.5 else f">{100 - end:g}"


def ends(low: float, high: float, form: str = ".1f") -> str:
    """The ends of an interval of shares in percent, or that there is none: one group alone has none.

    >>> ends(0.873, 0.9), ends(-0.02, 0.05, "+.1f"), ends(float("nan"), float("nan"))
    ('87.3 to 90.0', '-2.0 to +5.0', 'no interval')
    """
    return f"{100 * low:{form}} to {100 * high:{form}}" if math.isfinite(low) and math.isfinite(high) else "no interval"


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(8.2), duration(95), duration(7500)
    ('8 s', '1 min 35 s', '2 h 05 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Silent:
    """Shows nothing."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Show nothing."""

    def skip(self, n: int) -> None:
        """Show nothing."""


class _Count:
    """Counts, and says in words how far it is: `120/600  35.1/s  14 s left  loss 4.20`."""

    def __init__(self, total: int, start: int) -> None:
        self.total, self.start, self.done = total, start, start
        self.note = ""
        self.began = time.monotonic()

    def add(self, n: int, note: str) -> None:
        self.done += n
        self.note = note or self.note

    def skip(self, n: int) -> None:
        self.done += n
        self.start += n

    def words(self) -> str:
        seconds = time.monotonic() - self.began
        parts = [f"{self.done:,}/{self.total:,}"]
        if self.done > self.start and seconds > 0:
            speed = (self.done - self.start) / seconds
            left = max(self.total - self.done, 0) / speed
            parts += [f"{speed:,.1f}/s" if speed >= 0.1 else f"{1 / speed:,.0f} s each", f"{duration(left)} left"]
        return "  ".join([*parts, self.note] if self.note else parts)


class _Lines:
    """Plain lines for logs; a job shorter than the interval leaves none."""

    def __init__(self, title: str, total: int, start: int) -> None:
        self.title = title
        self.count = _Count(total, start)
        self.last = time.monotonic()

    def advance(self, n: int = 1, note: str = "") -> None:
        self.count.add(n, note)
        now = time.monotonic()
        if now - self.last >= LINE_SECONDS:
            self.last = now
            say(f"{self.title}  {self.count.words()}")

    def skip(self, n: int) -> None:
        self.count.skip(n)


class _Shown:
    def __init__(self, progress: "Progress", title: str, total: int, start: int) -> None:
        self.progress = progress
        self.count = _Count(total, start)
        self.task: TaskID = progress.add_task(title, total=total, completed=start, words=self.count.words())

    def advance(self, n: int = 1, note: str = "") -> None:
        self.count.add(n, note)
        self.progress.update(self.task, completed=self.count.done, words=self.count.words())

    def skip(self, n: int) -> None:
        self.count.skip(n)
        self.advance(0)


@cache
def _console() -> "Console":
    """One console for all bars and lines, so that rich keeps them apart."""
    from rich.console import Console

    return Console(stderr=True)


def _quiet() -> bool:
    """Silenced by the user, or one of several processes of which the first speaks."""
    return os.environ.get("UNLABELED_QUIET", "") not in ("", "0") or os.environ.get("RANK", "0") != "0"
