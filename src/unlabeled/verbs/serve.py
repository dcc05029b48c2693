"""A model or a detector of faults behind HTTP, with a page to drop pictures on."""

import errno
import socket
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
        asked = progress.count(self.requests, "request")
        return [f"{asked} answered, {progress.count(self.items, 'item')} computed"]


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
    if threads < 0:
        raise UserError(f"--threads got {threads}", "give 0 or more")
    free(host, port)
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
        held=max(Bounds.held, 2 * serving.max_bytes),
        key=serving.key,
    )
    app = build(offer, bounds, batch=serving.batch)
    listening = uvicorn.Config(
        app, host=host, port=port, http=Connection, ws="none", log_level="warning", server_header=False,
        limit_concurrency=serving.connections, timeout_graceful_shutdown=10,
    )  # fmt: skip
    progress.say(f"{offer.name} on http://{f'[{host}]' if ':' in host else host}:{port}")
    if host not in ("127.0.0.1", "localhost", "::1") and not serving.key:
        progress.say("mind: everyone who reaches this address can use it; give --key")
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it is stopped
        uvicorn.Server(listening).run()
    return Served(sum(app.desk.counts.requests.values()), app.desk.batcher.items)


def free(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on, before a model is loaded.

    Raises:
        UserError: when there is no such host or port, or another program has it.
    """
    if not 0 <= port <= 65535:
        raise UserError(f"--port got {port}", "give one of 0 to 65535")
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        failed = [error for place in places if (error := _bound(*place)) is not None]
        if len(failed) == len(places) or any(error.errno == errno.EADDRINUSE for error in failed):
            raise failed[0]
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}", "take another --host or --port") from None


def _bound(family: int, kind: int, protocol: int, _: str, address: Any) -> OSError | None:
    """What is wrong with an address, of which a name can have several; None where it can be listened on."""
    try:
        with socket.socket(family, kind, protocol) as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # both as uvicorn does
            if family == socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            found.bind(address)
    except OSError as error:
        return error
    return None


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
