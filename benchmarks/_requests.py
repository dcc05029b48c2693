"""Requests as a server meets them, sound and malformed, and the server, for `handover.py` and `inspection.py`."""

import asyncio
import contextlib
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psutil


@contextlib.contextmanager
def served(model: Path, *flags: str) -> Iterator[tuple[int, psutil.Process, float]]:
    """A server in a process of its own: port, process, seconds until it answered."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    began = time.perf_counter()
    command = [sys.executable, "-m", "unlabeled", "serve", str(model), "--port", str(port), *flags]
    child = subprocess.Popen(command, env={**os.environ, "UNLABELED_QUIET": "1"})
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port, psutil.Process(child.pid), time.perf_counter() - began
    finally:
        child.terminate()
        child.wait(60)


def multipart(data: bytes, path: str = "/predict", name: str = "files") -> bytes:
    """A whole request as bytes."""
    part_ = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode() + data + b"\r\n--b--\r\n"
    )
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    head += f"Content-Length: {len(part_)}\r\n\r\n"
    return head.encode() + part_


async def clients(port: int, bodies: list[bytes], count: int, seconds: float) -> tuple[list[float], int]:
    """Seconds of each answer of so many clients that ask one after the other, and how many were no 200."""
    until, times, bad = time.perf_counter() + seconds, list[float](), 0

    async def one(number: int) -> None:
        nonlocal bad
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(bodies[number % len(bodies)])
            status = await answer(reader)
            bad += status != 200
            times.append(time.perf_counter() - began)
            number += count
        writer.close()

    await asyncio.gather(*(one(i) for i in range(count)))
    return times, bad


async def answer(reader: asyncio.StreamReader) -> int:
    """Read one answer whole; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(
        next(line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    )
    await reader.readexactly(length)
    return int(head.split(b" ")[1])


def raw_request(port: int, data: bytes, leave: bool = False) -> int:
    """Send bytes and read the status, or leave in the middle; 0 where the connection was closed without one."""
    try:
        with socket.create_connection(("127.0.0.1", port), 30) as s:
            s.settimeout(30)
            s.sendall(data)
            if leave:
                s.shutdown(socket.SHUT_WR)
            first = s.recv(4096)
            return int(first.split(b" ")[1]) if first.startswith(b"HTTP/1.1 ") else 0
    except (ConnectionError, ValueError, IndexError):
        return 0


def slowly(port: int, stop: threading.Event) -> None:
    """Send a byte a second, and begin anew when let go."""
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as s:
            for byte in b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n" + b"x" * 900:
                if stop.wait(0.5):
                    return
                s.sendall(bytes([byte]))


@cache
def bomb() -> bytes:
    """A small file that is 900 million pixels when it is unpacked."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(file, "PNG")
    return file.getvalue()


def evil(number: int, good: bytes, random: np.random.Generator) -> tuple[bytes, bool]:
    """One of many kinds of malformed request, and whether its sender leaves in the middle of it."""

    def flipped() -> bytes:
        blob = bytearray(good)
        for at in random.integers(0, len(blob), 8):
            blob[at] = random.integers(256)
        return bytes(blob)

    kinds: list[Any] = [
        lambda: multipart(flipped()),
        lambda: multipart(good[: int(random.integers(1, len(good)))]),
        lambda: multipart(bomb()),
        lambda: multipart(bytes(random.integers(0, 256, 3000, np.uint8))),
        lambda: multipart(b""),
        lambda: multipart(good, "/predict", "../../etc/passwd"),
        lambda: multipart(good, "/similar?k=-1"),
        lambda: multipart(good, "/similar?k=99999999999999999999"),
        lambda: multipart(b"%!PS\n(%pipe%id) (w) file"),
        lambda: b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda: b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda: b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nx",
        lambda: b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nx",
        lambda: b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\nxx",
        lambda: (
            b'POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"a": [1}'
        ),
        lambda: multipart(good)[: int(random.integers(10, 400))],
        lambda: bytes(random.integers(0, 256, 200, np.uint8)),
        lambda: b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        lambda: b"DELETE /health HTTP/1.1\r\nHost: x\r\n\r\n",
        lambda: multipart(bytes(2_100_000)),
    ]
    return bytes(kinds[number % len(kinds)]()), number % len(kinds) in (13, 15, 16)
