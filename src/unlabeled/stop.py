"""What asks the command line to stop: Ctrl-C, `kill` and a cluster's scheduler (SIGTERM), a terminal that is closed
(SIGHUP). A training ends its step first and keeps what it has learnt.

Only the command line installs this. Who calls the package from Python keeps their own handlers, and `held` finds none.
"""

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 5.0  # seconds that a step has left to end; `docker stop` kills after ten
ONE = 1.0  # seconds within which several signals ask for one stop: shell and kernel both tell that a terminal closed
ASKING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
USUAL = (signal.SIG_DFL, signal.default_int_handler)
ALARM = getattr(signal, "SIGALRM", None)
OUTPUTS = (1, 2)


class Stopped(KeyboardInterrupt):
    """Somebody has asked this process to stop.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def code(self) -> int:
        """The exit code that a shell gives to what a signal has ended."""
        return 128 + self.number


class Handler:
    """Raises `Stopped` where the program stands; while it is held, at a moment that suits.

    Attributes:
        holds: whether somebody has promised to look at `asked`.
        asked: number of the signal that came while it was held, or 0.
    """

    def __init__(self) -> None:
        self.holds, self.asked, self._at = False, 0, -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._at = self._at, time.monotonic()
        if self._at - before < ONE:
            return
        if number not in (signal.SIGINT, signal.SIGTERM):
            _without_terminal()
        if not self.holds or self.asked:
            raise Stopped(number)
        self.asked = number
        if ALARM is not None:
            signal.signal(ALARM, self._late)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def look(self) -> bool:
        """Whether a stop was asked for; from now on there is time for it."""
        _no_alarm()
        return self.asked > 0

    def free(self) -> int:
        """Hold no more; the number of the signal that came meanwhile, or 0."""
        number, self.holds, self.asked = self.asked, False, 0
        _no_alarm()
        return number

    def _late(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise Stopped(self.asked)


def listen() -> None:
    """Have this process stop in words when it is asked to. What is ignored stays so, as nohup has it."""
    handler = Handler()
    for number in ASKING:
        if signal.getsignal(number) in USUAL:
            signal.signal(number, handler)


@contextmanager
def held(lead: bool = True) -> Iterator[Callable[[], bool]]:
    """Hold a stop back while steps are made, of which none should be left half done; a second one is not held.

    Args:
        lead: whether this is the process that looks; the others of its group go on until it has left them.

    Yields:
        What says whether a stop was asked for. Who hears so keeps what there is and leaves the block.

    Raises:
        Stopped: at the end, when one was asked for; in between when the step takes too long.
    """
    handler = next((h for number in ASKING if isinstance(h := signal.getsignal(number), Handler)), None)
    if handler is None or handler.holds or threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    handler.holds, number = True, 0
    try:
        yield handler.look if lead else lambda: False
    except RuntimeError:
        if lead or not handler.asked:
            raise
    finally:
        number = handler.free()
    if number:
        raise Stopped(number)


def _no_alarm() -> None:
    if ALARM is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _without_terminal() -> None:
    """Send what is said from now on nowhere if the terminal has gone: writing to it fails."""
    for output in OUTPUTS:
        try:
            os.write(output, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), output)
