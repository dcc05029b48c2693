"""What is served, as a contract, and the desk at which it is: uploads in, answers out, counted; whatever it is."""

import asyncio
import base64
import io
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Generic, Protocol, TypeVar

import numpy as np
from fastapi import APIRouter, File, UploadFile
from PIL import Image
from pydantic import BaseModel, Field

from unlabeled.deploy.serve.batcher import Batcher, Busy, Sliced
from unlabeled.deploy.serve.counts import Counts
from unlabeled.deploy.serve.guard import Bounds
from unlabeled.deploy.serve.reader import Reader, Refused

T = TypeVar("T", bound=Sliced)
NAMED = 80  # letters of an upload's name that a refusal repeats
Files = Annotated[list[UploadFile], File(description="one or more files", min_length=1)]
USUAL = {
    400: "The body is no form.", 401: "The key is missing or wrong.", 408: "The request came too slowly.",
    413: "Too large, or too many.", 415: "Not a file of a kind that is taken.",
    422: "The file, or a parameter, cannot be used.", 429: "Too many items wait.", 500: "The server failed.",
    503: "It took too long.",
}  # fmt: skip


class Told(BaseModel):
    """What every refusal and failure says."""

    error: str = Field(description="one sentence")


def refusals(more: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """The answers other than 200 for the API page: those that every route may give, and more."""
    return {status: {"description": text, "model": Told} for status, text in sorted((USUAL | dict(more or {})).items())}


def file_of(kind: str, about: str) -> dict[int | str, dict[str, Any]]:
    """For the API page an answer 200 that is a file; by a response class refusals would seem to be of its kind, too."""
    return {200: {"description": about, "content": {kind: {"schema": {"type": "string", "format": "binary"}}}}}


class Offer(Protocol[T]):
    """What is served: it answers on raw items, and says at which paths.

    Attributes:
        name: what it is called; nothing of where it lies.
        about: a sentence for the API page.
        input: how uploads are read: modality, prep.
        script: the file in this folder by which the page shows an answer.
        marks: what it counts among its answers, for /metrics.
    """

    name: str
    about: str
    input: Mapping[str, Any]
    script: str
    marks: Sequence[str]

    def run(self, raw: np.ndarray) -> T:
        """Answers on raw items (N, ...), of which a slice is the answers on some of them."""

    def health(self) -> Mapping[str, Any]:
        """What /health tells of it."""

    def routes(self, desk: "Desk[T]") -> APIRouter:
        """Its own paths; what it cannot do has none."""


class Desk(Generic[T]):
    """An offer with its queue and its counters.

    Args:
        offer: what is served.
        bounds: the limits.
        batch: most items computed together.
    """

    def __init__(self, offer: Offer[T], bounds: Bounds, batch: int) -> None:
        self.bounds, self.counts = bounds, Counts(offer.marks)
        self.batcher: Batcher[T] = Batcher(offer.run, size=batch, queue=bounds.queue)
        self.reader = Reader(offer.input, bounds.pixels)
        self.decoders = ThreadPoolExecutor(2, "decode")

    async def answers(self, files: Sequence[UploadFile], notes: list[tuple[str, ...]] | None = None) -> list[T]:
        """Answers on the files of one request, each an item alone in a batch's company; `notes` as for `decoded`.

        Raises:
            Refused: when a file is not taken.
            Busy: when too many wait.
        """
        return await self.asked(await self.decoded(files, notes))

    async def asked(self, raw: Sequence[np.ndarray]) -> list[T]:
        """Answers on raw items, each alone in a batch's company.

        Raises:
            Busy: when too many wait.
        """
        if self.batcher.queue.qsize() + len(raw) > self.bounds.queue:
            raise Busy
        return list(await asyncio.gather(*(self.batcher.ask(r) for r in raw)))

    async def in_turn(self, raw: Sequence[np.ndarray]) -> list[T]:
        """Answers on many raw items of one request, a batch after the other: all at once may be more than can wait.

        Raises:
            Busy: when too many wait.
        """
        step = min(self.batcher.size, self.bounds.queue)
        parts = [await self.asked(raw[at : at + step]) for at in range(0, len(raw), step)]
        return [one for part in parts for one in part]

    async def decoded(
        self, files: Sequence[UploadFile], notes: list[tuple[str, ...]] | None = None
    ) -> list[np.ndarray]:
        """Raw items from the files of one request; what is to be said of how each was read goes into `notes`.

        Raises:
            Refused: when some are not taken; of several files it says which, and why.
            Busy: when too many wait.
        """
        if not 0 < len(files) <= self.bounds.files:
            raise Refused(422, f"send 1 to {self.bounds.files} files")
        loop = asyncio.get_running_loop()
        data = [await f.read() for f in files]
        if self.batcher.queue.qsize() + len(data) > self.bounds.queue:
            raise Busy  # before the work of decoding
        reading = (loop.run_in_executor(self.decoders, self.reader.noted, d) for d in data)
        found = await asyncio.gather(*reading, return_exceptions=True)
        bad = {number: one for number, one in enumerate(found) if isinstance(one, BaseException)}
        for error in bad.values():
            if len(files) == 1 or not isinstance(error, Refused):
                raise error
        if bad:
            names = [f"file {number + 1} ({(files[number].filename or '')[:NAMED]}): {bad[number]}" for number in bad]
            raise Refused(next(error.status for error in bad.values() if isinstance(error, Refused)), "; ".join(names))
        good = [one for one in found if not isinstance(one, BaseException)]
        if notes is not None:
            notes += [told for _, told in good]
        return [raw for raw, _ in good]


def png(pixels: np.ndarray) -> bytes:
    """A picture (H, W) or (H, W, 3) uint8 as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # smaller files would take longer than they are sent
    return file.getvalue()


def uri(file: bytes) -> str:
    """A PNG as a data URI."""
    return "data:image/png;base64," + base64.b64encode(file).decode()
