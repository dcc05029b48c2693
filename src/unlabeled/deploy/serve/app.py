"""What every server has, whatever it serves: /health /metrics, API page, a page to drop items on, errors in words."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from fastapi.security import APIKeyHeader
from starlette.exceptions import HTTPException

import unlabeled
from unlabeled.deploy.serve.batcher import Busy
from unlabeled.deploy.serve.desk import Desk, Offer, T, file_of, refusals
from unlabeled.deploy.serve.guard import Bounds, Guard
from unlabeled.deploy.serve.reader import Refused

HERE = Path(__file__).parent
POLICY = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'"


class Service(Guard):
    """The guarded application, and the desk that counts and computes for it."""

    def __init__(self, app: FastAPI, desk: Desk[T], bounds: Bounds) -> None:
        super().__init__(app, bounds, desk.counts.request)
        self.desk = desk


def build(offer: Offer[T], bounds: Bounds, *, batch: int = 16, more: Sequence[APIRouter] = ()) -> Service:
    """The application.

    Args:
        offer: what is served.
        bounds: the limits.
        batch: most items computed together.
        more: further routes, behind the same guard.
    """
    desk = Desk(offer, bounds, batch)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await desk.batcher.start()
        yield
        await desk.batcher.stop()
        desk.decoders.shutdown()

    app = FastAPI(
        title="unlabeled",
        version=unlabeled.__version__,
        description=offer.about,
        lifespan=life,
        docs_url=None,
        redoc_url=None,
    )
    keyed = [Security(APIKeyHeader(name="X-API-Key", auto_error=False))] if bounds.key else []  # for the API page
    for router in (offer.routes(desk), _metrics(desk), *more):
        app.include_router(router, dependencies=keyed)
    app.include_router(_about(offer))
    _errors(app)
    return Service(app, desk, bounds)


def _metrics(desk: Desk[T]) -> APIRouter:
    routes = APIRouter(responses=refusals())

    told = file_of("text/plain", "the counters")

    @routes.get("/metrics", response_class=Response, responses=told, summary="Counters for Prometheus")
    async def metrics() -> Response:
        b = desk.batcher
        gauges = {
            "queue_items": b.queue.qsize(),
            "batches_total": b.batches,
            "batch_items_mean": b.items / max(1, b.batches),
        }
        return PlainTextResponse(desk.counts.text(gauges))

    return routes


def _about(offer: Offer[T]) -> APIRouter:
    """What is open to everybody: whether it is alive, and the pages."""
    routes = APIRouter(responses=refusals())

    @routes.get("/health", summary="Is it alive, and what is it")
    async def health() -> dict[str, Any]:
        return {"status": "ok", **offer.health()}

    files = {"/": "page.html", "/docs": "docs.html", "/page.js": "page.js", "/docs.js": "docs.js"}
    for path, name in (files | {"/show.js": offer.script}).items():
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
