"""A model or a detector of faults behind HTTP, with a page to drop pictures on."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from unlabeled import progress
from unlabeled.deploy.bundle import Bundle
from unlabeled.deploy.extras import need
from unlabeled.deploy.model import Model, finds_faults, load_model
from unlabeled.errors import UserError
from unlabeled.settings import Serving

if TYPE_CHECKING:
    from unlabeled.deploy.serve.desk import Offer


@dataclass(frozen=True)
class Served:
    """What was served.

    Args:
        requests: how many were answered.
        items: how many items were computed.
    """

    requests: int
    items: int

    def lines(self) -> list[str]:
        """A last word."""
        return [f"{self.requests:,} requests answered, {self.items:,} items computed"]


def serve(
    model: str,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    engine: Literal["auto", "torch", "onnx"] = "auto",
    threads: int = 0,
    false_alarms: float | None = None,
    serving: Serving = Serving(),
) -> Served:
    """Serve a model until it is stopped: /predict /embed /similar /explain /drift /health /metrics, /docs, a page at /.

    What detect has learnt from good pictures is served as well: /predict says which pictures are faulty and why, /map
    shows where. It needs torch.

    Args:
        model: a .ul folder, an .onnx file, or the folder of results of detect.
        host: address to listen on; 0.0.0.0 for all, and then give a key.
        port: to listen on.
        engine: onnx, which starts at once and needs no torch, or torch; auto takes onnx where the folder holds it.
        threads: CPU threads of the engine; 0 leaves the engine's own number.
        false_alarms: of a detector of faults another share of good items that may be flagged than its own, 0 to 1.
        serving: limits.

    Raises:
        UserError: when the model cannot be read, looks for faults in recordings, or fastapi is not installed.

    Example:
        unlabeled serve steel.ul --port 8000 --key secret
        unlabeled serve unlabeled-good-faults
    """
    need("fastapi", "uvicorn", "multipart", extra="serve")
    offer = offered(model, engine, threads, false_alarms)
    import uvicorn

    from unlabeled.deploy.serve.app import build
    from unlabeled.deploy.serve.connection import Connection
    from unlabeled.deploy.serve.guard import Bounds

    bounds = Bounds(
        bytes=serving.max_bytes,
        pixels=serving.max_pixels,
        seconds=serving.timeout,
        queue=serving.queue,
        key=serving.key,
    )
    app = build(offer, bounds, batch=serving.batch)
    listening = uvicorn.Config(
        app, host=host, port=port, http=Connection, ws="none", log_level="warning", server_header=False,
        limit_concurrency=serving.connections, timeout_graceful_shutdown=10,
    )  # fmt: skip
    progress.say(f"{offer.name} on http://{host}:{port}")
    if host not in ("127.0.0.1", "localhost", "::1") and not serving.key:
        progress.say("mind: everyone who reaches this address can use it; give --key")
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it is stopped
        uvicorn.Server(listening).run()
    return Served(sum(app.desk.counts.requests.values()), app.desk.batcher.items)


def offered(
    model: str, engine: Literal["auto", "torch", "onnx"], threads: int, false_alarms: float | None
) -> "Offer[Any]":
    """What shall be served: a model that knows classes, or a detector of faults.

    Raises:
        UserError: when it cannot be read, or a setting does not fit it.
    """
    if not finds_faults(model):
        if false_alarms is not None:
            raise UserError(f"{model} knows classes and has no rate of false alarms", "leave --false-alarms away")
        from unlabeled.deploy.serve.classes import Classes

        return Classes(opened(model, engine, threads))
    if engine == "onnx":
        raise UserError(f"{model} is a detector of faults, which runs by torch alone", "leave --engine away")
    from unlabeled.deploy.inspector import load_inspector
    from unlabeled.deploy.serve.faults import Faults

    return Faults(load_inspector(model, threads=threads, false_alarms=false_alarms))


def opened(model: str, engine: Literal["auto", "torch", "onnx"], threads: int) -> Model:
    """The model by the engine that starts fastest."""
    if engine == "auto" and not model.endswith(".onnx") and Bundle.open(model).onnx() is not None:
        try:
            return load_model(model, engine="onnx", threads=threads)
        except UserError as error:
            progress.say(f"mind: served by torch: {error}")
    return load_model(model, engine=engine, threads=threads)
