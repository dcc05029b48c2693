"""What the tests of servers share: requests, pictures that are none, and a browser."""

import io
import struct
import zlib
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from starlette.testclient import TestClient

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"]  # fmt: skip
MULTIPART = "multipart/form-data; boundary=b"


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def post(client: TestClient, path: str, *data: bytes) -> httpx.Response:
    return client.post(path, files=[("files", ("x.png", d, "image/png")) for d in data])


def bomb(side: int) -> bytes:
    """A PNG of a few kB that unpacks to side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0" * (side // 8 + 1) * side, 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
