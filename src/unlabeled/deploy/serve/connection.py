"""Connections of patient but not endless kind: who does not finish its request's head in time is let go."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 10.0


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1 with a limit on the time that a request's head may take."""

    clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock with the connection."""
        super().connection_made(transport)
        self.clock = self.loop.call_later(SECONDS, self._late)

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first bytes of a request, and stop it when its head is there."""
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.clock is None:
            self.clock = self.loop.call_later(SECONDS, self._late)
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop()
        super().connection_lost(exc)

    def _stop(self) -> None:
        if self.clock is not None:
            self.clock.cancel()
            self.clock = None

    def _late(self) -> None:
        self.clock = None
        if (self.cycle is None or self.cycle.response_complete) and not self.transport.is_closing():
            self.transport.close()
