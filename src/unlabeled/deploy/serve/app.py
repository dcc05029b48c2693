"""The routes: /predict /embed /similar /explain /drift /health /metrics, an API page and a page to drop pictures on."""

import asyncio
import base64
import io
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, FastAPI, File, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from PIL import Image
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

import unlabeled
from unlabeled.deploy import drift, occlude
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.model import Model
from unlabeled.deploy.serve.batcher import Batcher, Busy
from unlabeled.deploy.serve.counts import Counts
from unlabeled.deploy.serve.guard import Bounds, Guard
from unlabeled.deploy.serve.reader import Reader, Refused
from unlabeled.deploy.similar import Neighbours
from unlabeled.errors import UserError

HERE = Path(__file__).parent
WINDOW = 500  # answers that /drift looks at
POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"
REFUSALS = {
    400: "The body is no form.", 401: "The key is missing or wrong.", 404: "This model does not do that.",
    408: "The request came too slowly.", 409: "Too few items were seen.", 413: "Too large, or too many.",
    415: "Not a file of a kind that is taken.", 422: "The file, or a parameter, cannot be used.",
    429: "Too many items wait.", 500: "The server failed.", 503: "It took too long.",
}  # fmt: skip
Files = Annotated[list[UploadFile], File(description="one or more files", min_length=1)]


class Told(BaseModel):
    """What every refusal and failure says."""

    error: str = Field(description="one sentence")


TOLD: dict[int | str, dict[str, Any]] = {s: {"description": t, "model": Told} for s, t in REFUSALS.items()}


class Server:
    """A model with its queue, its counters and its last answers.

    Args:
        model: loaded.
        bounds: the limits.
        batch: most items computed together.
    """

    def __init__(self, model: Model, bounds: Bounds, batch: int) -> None:
        self.model, self.bounds, self.counts = model, bounds, Counts()
        self.batcher = Batcher(model.engine.run, size=batch, queue=bounds.queue)
        self.reader = Reader(model.facts["input"], bounds.pixels)
        self.decoders = ThreadPoolExecutor(2, "decode")
        self.last: deque[Answers] = deque(maxlen=WINDOW)
        kept = {} if model.bundle is None else model.bundle.reference()
        self.memory = Neighbours.of(kept) if kept else None
        self.reference = {k: v for k, v in kept.items() if k.startswith("drift/")}

    async def answers(self, files: Sequence[UploadFile]) -> list[Answers]:
        """Answers on the files of one request, each an item alone in a batch's company.

        Raises:
            Refused: when a file is not taken.
            Busy: when too many wait.
        """
        return list(await asyncio.gather(*(self.batcher.ask(r) for r in await self.decoded(files))))

    async def decoded(self, files: Sequence[UploadFile]) -> list[np.ndarray]:
        """Raw items from the files of one request.

        Raises:
            Refused: when a file is not taken.
            Busy: when too many wait.
        """
        if not 0 < len(files) <= self.bounds.files:
            raise Refused(422, f"send 1 to {self.bounds.files} files")
        loop = asyncio.get_running_loop()
        data = [await f.read() for f in files]
        if self.batcher.queue.qsize() + len(data) > self.bounds.queue:
            raise Busy  # before the work of decoding
        return list(await asyncio.gather(*(loop.run_in_executor(self.decoders, self.reader.read, d) for d in data)))

    async def explained(self, raw: np.ndarray) -> dict[str, Any]:
        """The label of an item and the map of what it hangs on; its copies wait in the queue like everybody's items.

        Raises:
            Refused: when such items cannot be covered part by part.
            Busy: when too many wait.
        """
        try:
            found = occlude.covered(raw, self.reader.modality, self.reader.prep)
        except UserError as error:
            raise Refused(404, error.wrong) from None
        if self.batcher.queue.qsize() + len(found.copies) + 1 > self.bounds.queue:
            raise Busy
        whole, *parts = await asyncio.gather(*(self.batcher.ask(r) for r in (raw, *found.copies)))
        label = int(whole.probabilities[0].argmax())
        heat = occlude.told(found, whole.probabilities[0, label], np.array([p.probabilities[0, label] for p in parts]))
        picture = _png(occlude.overlay(raw, heat)) if raw.ndim == 3 else None
        told = {"label": self.model.classes[label], "map": heat.round(4).tolist(), "picture": picture}
        return told | {"words": self.reader.words(raw)}

    def told(self, found: Answers) -> dict[str, Any]:
        """What is said of an item; counted and remembered for /drift."""
        [one] = self.model.told(found)
        self.last.append(found)
        self.counts.labels[one["label"]] += 1
        self.counts.abstained += one["abstain"]
        self.counts.strange += one["why"].startswith("unlike")
        shares = {c: float(one.pop(f"p({c})")) for c in self.model.classes}
        return one | {"probabilities": shares}

    def thumb(self, number: int) -> str | None:
        """A remembered item's small picture as a data URI, where the bundle holds any."""
        if self.memory is None or self.memory.thumbs is None:
            return None
        return _png(self.memory.thumbs[number])


def _png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


class Service(Guard):
    """The guarded application, and the server that counts and computes for it."""

    def __init__(self, app: FastAPI, server: Server, bounds: Bounds) -> None:
        super().__init__(app, bounds, server.counts.request)
        self.server = server


def build(model: Model, bounds: Bounds, *, batch: int = 16, more: Sequence[APIRouter] = ()) -> Service:
    """The application.

    Args:
        model: loaded.
        bounds: the limits.
        batch: most items computed together.
        more: further routes, behind the same guard.
    """
    server = Server(model, bounds, batch)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await server.batcher.start()
        yield
        await server.batcher.stop()
        server.decoders.shutdown()

    about = f"{model.facts['name']}: {model.facts['input']['modality']} items, {len(model.classes)} classes."
    app = FastAPI(
        title="unlabeled",
        version=unlabeled.__version__,
        description=about,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    for router in (_answers(server), _about(server), *more):
        app.include_router(router)
    _errors(app)
    return Service(app, server, bounds)


def _answers(server: Server) -> APIRouter:
    routes = APIRouter(responses=TOLD)

    @routes.post("/predict", summary="Label, probabilities, label set, strangeness, and where it would rather not say")
    async def predict(files: Files) -> dict[str, Any]:
        return {"items": [server.told(found) for found in await server.answers(files)]}

    @routes.post("/embed", summary="Features")
    async def embed(files: Files) -> dict[str, Any]:
        return {"features": [found.features[0].tolist() for found in await server.answers(files)]}

    @routes.post("/similar", summary="The items learnt from that are most alike")
    async def similar(files: Files, k: Annotated[int, Query(ge=1, le=50)] = 5) -> dict[str, Any]:
        if server.memory is None:
            raise Refused(404, "this model remembers no items")
        out = []
        for found in await server.answers(files):
            numbers, alike = server.memory.nearest(found.features, k)
            out.append([
                {"number": int(n), "label": server.model.classes[server.memory.labels[n]], "similarity": float(a),
                 "thumbnail": server.thumb(int(n))}
                for n, a in zip(numbers[0], alike[0], strict=True)
            ])  # fmt: skip
        return {"items": out}

    @routes.post("/explain", summary="The places that the label hangs on: how far covering each lowers its log-odds")
    async def explain(files: Files) -> dict[str, Any]:
        if len(files) != 1:
            raise Refused(422, "send one file; it is looked at many times")
        [raw] = await server.decoded(files)
        return {"items": [await server.explained(raw)]}

    @routes.get("/drift", summary="Are the last items still like those learnt from?")
    def drifted(rate: Annotated[float, Query(ge=0.01, le=0.5)] = 0.05) -> dict[str, Any]:
        last = list(server.last)
        if not server.reference or len(last) < drift.FEWEST:
            raise Refused(409, f"{len(last)} items were seen; {drift.FEWEST} are needed, and a bundle's reference")
        names = ("features", "probabilities", "strangeness")
        new = {k: np.concatenate([getattr(a, k) for a in last]) for k in names}
        old = {k: server.reference[f"drift/{k}"][:1000] for k in names}
        found = drift.compare(old, new, server.model.limits, rate=rate, permutations=199)
        checks = {c.name: {"reference": c.reference, "now": c.now, "p": c.p} for c in found.checks}
        return {"alarm": found.alarm, "p": found.p, "items": found.items, "sentence": found.sentence, "checks": checks}

    return routes


def _about(server: Server) -> APIRouter:
    routes = APIRouter(responses=TOLD)

    @routes.get("/health", summary="Is it alive, and what is it")
    async def health() -> dict[str, Any]:
        facts = server.model.facts
        return {"status": "ok", "model": facts["name"], "classes": server.model.classes, "created": facts["created"]}

    @routes.get("/metrics", response_class=PlainTextResponse, summary="Counters for Prometheus")
    async def metrics() -> str:
        b = server.batcher
        gauges = {
            "queue_items": b.queue.qsize(),
            "batches_total": b.batches,
            "batch_items_mean": b.items / max(1, b.batches),
        }
        return server.counts.text(gauges)

    for path, name in (("/", "page.html"), ("/docs", "docs.html"), ("/page.js", "page.js"), ("/docs.js", "docs.js")):
        routes.add_api_route(path, _file(name), include_in_schema=False, response_class=Response)
    return routes


def _file(name: str) -> Any:
    text = (HERE / name).read_text("utf-8")

    async def answer() -> Response:
        if name.endswith(".js"):
            return Response(text, media_type="text/javascript")
        return HTMLResponse(text, headers={"content-security-policy": POLICY})

    return answer


def _errors(app: FastAPI) -> None:
    """Every error is one sentence; where it happened stays here."""

    def told(status: int, error: str, headers: dict[str, str] | None = None) -> JSONResponse:
        return JSONResponse({"error": error}, status, headers)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> JSONResponse:
        return told(error.status, error.reason)

    @app.exception_handler(Busy)
    async def busy(_: Request, error: Busy) -> JSONResponse:
        return told(429, "too many items wait; try again in a moment", {"retry-after": "1"})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        where = error.errors()[0]
        return told(422, f"{'.'.join(str(part) for part in where['loc'])}: {where['msg']}")

    @app.exception_handler(HTTPException)
    async def known(_: Request, error: HTTPException) -> JSONResponse:
        said = str(error.detail) if error.status_code < 500 else "the server failed"
        return told(error.status_code, said, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def bug(_: Request, error: Exception) -> JSONResponse:
        return told(500, "the server failed")  # uvicorn writes the trace to its own log
