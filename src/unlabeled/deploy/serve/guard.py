"""What a request may be: how large, how slow, and with which key; refused before the body is read or decoded."""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]
OPEN = ("/", "/page.js", "/show.js", "/health", "/docs", "/docs.js", "/openapi.json")  # without a key


@dataclass(frozen=True)
class Bounds:
    """Limits of the server.

    Args:
        bytes: most of a request's body.
        pixels: most of one picture.
        files: most in one request.
        seconds: most until the body is there, and again until it is answered.
        queue: most items that wait; further requests get 429.
        held: most bytes of all bodies together; further requests get 429, but for one that is alone.
        key: that requests must bring in `X-API-Key`; empty for none.
    """

    bytes: int = 20_000_000
    pixels: int = 50_000_000
    files: int = 16
    seconds: float = 20.0
    queue: int = 256
    held: int = 500_000_000
    key: str = ""


class Guard:
    """Wraps an ASGI application.

    Args:
        app: what is guarded.
        bounds: the limits.
        count: called with method, path, status and seconds of each answer.
    """

    def __init__(self, app: App, bounds: Bounds, count: Callable[[str, str, int, float], None]) -> None:
        self.app, self.bounds, self.count = app, bounds, count
        self.held: dict[object, int] = {}  # bytes of each request that is being answered

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, here, own = time.perf_counter(), 0, False, object()
        headers = dict(scope["headers"])

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        try:
            refusal = self._refused(scope["path"], headers)
            if refusal is not None:
                await _answer(sent, *refusal)
                return
            body = await asyncio.wait_for(self._body(receive, own), self.bounds.seconds)
            if body is None:
                await _answer(sent, 413, f"a request may have {self.bounds.bytes:,} bytes")
                return
            here = True
            await asyncio.wait_for(self.app(scope, _replay(body, receive), sent), self.bounds.seconds)
        except TimeoutError:
            if not status:
                await _answer(sent, 503 if here else 408, "it took too long")
        except _Full:
            await _answer(sent, 429, "too much is being sent at once; try again in a moment")
        except _Gone:
            status = 499
        finally:
            self.held.pop(own, None)
            self.count(scope["method"], scope["path"], status, time.perf_counter() - began)

    def _refused(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if self.bounds.key and path not in OPEN:
            given = headers.get(b"x-api-key", b"")
            if not hmac.compare_digest(given, self.bounds.key.encode()):
                return 401, "the header X-API-Key is missing or wrong"
        told = headers.get(b"content-length", b"0")
        if not told.isdigit() or int(told) > self.bounds.bytes:
            return 413, f"a request may have {self.bounds.bytes:,} bytes"
        return None

    async def _body(self, receive: Callable[[], Awaitable[Message]], own: object) -> bytes | None:
        """The whole body, or None when it is too large; what it holds is counted under its own name."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self.bounds.bytes:
                return None
            self.held[own] = size
            if len(self.held) > 1 and sum(self.held.values()) > self.bounds.held:
                raise _Full
            if not message.get("more_body", False):
                return b"".join(parts)


class _Full(Exception):
    """All requests together hold too much."""


class _Gone(Exception):
    """The sender has left."""


def _replay(body: bytes, receive: Callable[[], Awaitable[Message]]) -> Callable[[], Awaitable[Message]]:
    """The body again, for the application; after it, what the connection says."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


async def _answer(send: Callable[[Message], Awaitable[None]], status: int, error: str) -> None:
    text = json.dumps({"error": error}).encode()
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    head += [(b"connection", b"close")] if status in (408, 413, 429) else []
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": text})
