"""The server answers as the model does, holds its limits against hostile requests, and tells nothing private."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import unlabeled as ul
from unlabeled import cli

pytest.importorskip("fastapi")
from asking import CHROMIUM, FLAGS, MULTIPART, bomb, post
from starlette.testclient import TestClient

from unlabeled.deploy import serve
from unlabeled.deploy.engines import Answers
from unlabeled.deploy.model import load_model
from unlabeled.deploy.serve.app import build
from unlabeled.deploy.serve.batcher import Batcher, Busy
from unlabeled.deploy.serve.classes import Classes
from unlabeled.deploy.serve.guard import Bounds, Guard

BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm"):
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
from unlabeled import cli
sys.exit(cli.run(["serve", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[TestClient]:
    bounds = Bounds(bytes=200_000, pixels=1_000_000, files=4)
    with TestClient(build(Classes(load_model(model, engine="onnx")), bounds), raise_server_exceptions=False) as found:  # type: ignore[arg-type]
        yield found


def test_it_answers_as_the_model_does(client: TestClient, model: Path, digits: Path) -> None:
    files = sorted((digits / "test").rglob("*.png"))[::60]
    expected = ul.load(str(model), engine="onnx").predict(files).to_dict("records")
    for file, row in zip(files, expected, strict=True):
        answer = post(client, "/predict", file.read_bytes())
        [found] = answer.json()["items"]
        assert answer.status_code == 200 and found["label"] == row["label"] and found["why"] == row["why"]
        assert found["notes"] == []
        assert found["probabilities"][row["label"]] == pytest.approx(row["confidence"], abs=1e-5)
    several = post(client, "/predict", *(f.read_bytes() for f in files[:4])).json()["items"]
    assert [s["label"] for s in several] == [r["label"] for r in expected[:4]]
    [features] = post(client, "/embed", files[0].read_bytes()).json()["features"]
    assert np.allclose(features, ul.load(str(model), engine="onnx").embed(files[:1])[0], atol=1e-4)
    [near] = post(client, "/similar?k=3", files[0].read_bytes()).json()["items"]
    assert len(near) == 3 and near[0]["similarity"] >= near[2]["similarity"]
    assert near[0]["thumbnail"].startswith("data:image/png;base64,"), "this bundle holds thumbnails"


def test_it_says_what_it_is_and_what_it_did(client: TestClient, digits: Path) -> None:
    assert client.get("/health").json()["classes"] == [str(i) for i in range(10)]
    for file in sorted((digits / "test").rglob("*.png"))[:24]:
        post(client, "/predict", file.read_bytes())
    told = client.get("/metrics").text
    assert 'unlabeled_requests_total{method="POST",path="/predict",status="200"}' in told
    assert "unlabeled_request_seconds_bucket" in told and "unlabeled_batch_items_mean" in told
    assert client.get("/drift?rate=0.05").json()["items"] >= 24
    api = client.get("/openapi.json").json()
    assert {"/predict", "/embed", "/similar", "/explain", "/drift", "/health", "/metrics"} <= set(api["paths"])
    for path, methods in api["paths"].items():
        for method in methods.values():
            assert {"401", "413", "422", "429", "503"} <= set(method["responses"]), path
    assert client.get("/predict").headers["allow"] == "POST"
    for path in ("/", "/docs"):
        page = client.get(path)
        assert (
            page.status_code == 200
            and "http" not in page.text
            and "default-src 'none'" in page.headers["content-security-policy"]
        )


def test_the_places_that_a_label_hangs_on(client: TestClient, digits: Path) -> None:
    file = sorted((digits / "test").rglob("*.png"))[7]
    [label] = [i["label"] for i in post(client, "/predict", file.read_bytes()).json()["items"]]
    answer = post(client, "/explain", file.read_bytes())
    [found] = answer.json()["items"]
    heat = np.array(found["map"])
    assert answer.status_code == 200 and found["label"] == label and heat.shape[0] == heat.shape[1] and heat.std() > 0
    assert found["picture"].startswith("data:image/png;base64,")
    assert post(client, "/explain", b"no picture").status_code == 415
    assert post(client, "/explain", file.read_bytes(), file.read_bytes()).status_code == 422


def test_an_item_of_more_parts_than_can_wait_is_explained(model: Path, digits: Path) -> None:
    file = sorted((digits / "test").rglob("*.png"))[7].read_bytes()
    offer = Classes(load_model(model, engine="onnx"))
    found = []
    for queue in (256, 40, 3):  # a picture has 64 parts
        with TestClient(build(offer, Bounds(queue=queue))) as client:  # type: ignore[arg-type]
            answer = post(client, "/explain", file)
            assert answer.status_code == 200, answer.text
            found.append(answer.json()["items"][0]["map"])
    assert np.allclose(found[0], found[1], atol=1e-3) and np.allclose(found[0], found[2], atol=1e-3)


def test_hostile_requests_get_a_sentence_and_never_a_500(client: TestClient, digits: Path) -> None:
    good = next((digits / "test").rglob("*.png")).read_bytes()
    noise = np.random.default_rng(0)
    cases: list[tuple[int, Any]] = [
        (413, lambda: post(client, "/predict", bomb(20_000))),
        (413, lambda: post(client, "/predict", b"x" * 300_000)),
        (422, lambda: post(client, "/predict", *[good] * 5)),
        (422, lambda: post(client, "/predict", b"")),
        (415, lambda: post(client, "/predict", b"%!PS-Adobe-3.0 EPSF-3.0\n(evil) run")),
        (415, lambda: post(client, "/predict", b"GIF89a")),
        (415, lambda: post(client, "/predict", b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
        (422, lambda: post(client, "/predict", good[: len(good) // 2])),
        (422, lambda: client.post("/predict")),
        (422, lambda: client.post("/predict", data={"files": "../../etc/passwd"})),
        (422, lambda: client.post("/predict", json={"files": [1, 2]})),
        (422, lambda: post(client, "/similar?k=0", good)),
        (422, lambda: post(client, "/similar?k=1e9", good)),
        (404, lambda: client.get("/../../etc/passwd")),
        (404, lambda: client.get("/page.js/..%2f..%2fapp.py")),
        (405, lambda: client.get("/predict")),
        (405, lambda: client.delete("/health")),
        (413, lambda: client.post("/predict", content=b"x", headers={"content-length": "99999999999"})),
        (422, lambda: client.post("/predict", content=b"--b\r\nbroken", headers={"content-type": MULTIPART})),
    ]  # fmt: skip
    for status, ask in cases:
        answer = ask()
        assert answer.status_code == status, answer.text
        assert (
            set(answer.json()) == {"error"}
            and "Traceback" not in answer.text
            and "/" not in answer.json()["error"].replace("multipart/", "")
        )
    for _ in range(60):  # bytes of any kind
        blob = bytearray(good)
        for at in noise.integers(0, len(blob), 5):
            blob[at] = noise.integers(256)
        assert post(client, "/predict", bytes(blob)).status_code in (200, 413, 415, 422)
    assert post(client, "/predict", good).status_code == 200


def test_of_several_files_the_broken_ones_are_named(client: TestClient, digits: Path) -> None:
    good = next(digits.rglob("*.png")).read_bytes()
    told = client.post("/predict", files=[("files", (f"{i}.png", d)) for i, d in enumerate((good, good[:99], b"no"))])
    assert told.status_code == 422
    assert told.json()["error"] == (
        "file 2 (1.png): the picture is broken or cut short; file 3 (2.png): it is not a picture of the kinds "
        "JPEG, PNG, WEBP, BMP, TIFF, GIF"
    )


def test_a_bug_inside_shows_nothing_outside(model: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load_model(model, engine="onnx")

    def broken(raw: np.ndarray) -> Answers:
        raise ValueError("secret /etc/shadow")

    monkeypatch.setattr(loaded.engine, "run", broken)
    with TestClient(build(Classes(loaded), Bounds()), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        answer = post(client, "/predict", next((digits / "test").rglob("*.png")).read_bytes())
    assert answer.status_code == 500 and answer.json() == {"error": "the server failed"}


def test_an_address_that_cannot_be_had_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong = {
            f"--port {port}": f"cannot listen on 127.0.0.1:{port}: Address already in use; take another",
            "--port 70000": "--port got 70000; give one of 0 to 65535.",
            "--port -1": "--port got -1; give",
            "--host 192.0.2.1": "cannot listen on 192.0.2.1:8000: Cannot assign requested address; take another",
        }
        for words, told in wrong.items():
            assert cli.run(["serve", "no.ul", *words.split()]) == 2
            assert capsys.readouterr().err.startswith(f"unlabeled: {told}")
    assert cli.run(["serve", "no.ul", "--host", "localhost", "--port", str(port)]) == 2
    assert capsys.readouterr().err.startswith("unlabeled: no.ul is not there")


def test_a_model_of_few_reference_items_says_that_it_cannot_watch(
    model: Path, digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer = Classes(load_model(model, engine="onnx"))
    monkeypatch.setattr(offer, "reference", {k: v[:15] for k, v in offer.reference.items()})
    with TestClient(build(offer, Bounds()), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        for file in sorted((digits / "test").rglob("*.png"))[:24]:
            assert post(client, "/predict", file.read_bytes()).status_code == 200
        answer = client.get("/drift")
    assert answer.status_code == 409 and answer.json()["error"].startswith("the model holds 15 reference items")


def test_what_knows_classes_has_no_false_alarms(model: Path) -> None:
    with pytest.raises(ul.UserError, match="has no rate of false alarms"):
        ul.load(str(model), false_alarms=0.1)
    with pytest.raises(ul.UserError, match="leave --false-alarms away"):
        ul.serve(str(model), false_alarms=0.1)


def test_a_key_is_asked_for(model: Path, digits: Path) -> None:
    picture = next((digits / "test").rglob("*.png")).read_bytes()
    with TestClient(build(Classes(load_model(model, engine="onnx")), Bounds(key="s3cret"))) as client:  # type: ignore[arg-type]
        assert post(client, "/predict", picture).status_code == 401
        assert client.get("/metrics", headers={"X-API-Key": "s3cre"}).status_code == 401
        assert client.get("/health").status_code == 200
        client.headers["X-API-Key"] = "s3cret"
        assert post(client, "/predict", picture).status_code == 200


def test_batches_are_shared_and_a_full_queue_says_no() -> None:
    sizes: list[int] = []

    def run(raw: np.ndarray) -> Answers:
        sizes.append(len(raw))
        time.sleep(0.05)
        return Answers(raw, raw, raw[:, 0])

    async def scene() -> tuple[list[Any], int]:
        batcher = Batcher(run, size=8, queue=12)
        await batcher.start()
        asked = [asyncio.create_task(batcher.ask(np.full(3, i, np.float32))) for i in range(20)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        await batcher.stop()
        return found, batcher.items

    found, items = asyncio.run(scene())
    busy = [f for f in found if isinstance(f, Busy)]
    answered = [(i, f) for i, f in enumerate(found) if isinstance(f, Answers)]
    assert len(busy) == 8 and items == 12 and max(sizes) == 8
    assert all(f.probabilities.tolist() == [[i] * 3] for i, f in answered), "everyone gets its own answer"


def test_bodies_together_are_bounded_and_a_lone_one_is_taken() -> None:
    """While one of 80 bytes is being answered another is refused, and is taken when that one has gone."""
    hold = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    guard = Guard(app, Bounds(bytes=100, held=90), lambda *_: None)

    async def ask(size: int) -> int:
        said: list[Any] = []
        parts = [b"x" * (size // 2), b"x" * (size - size // 2)]

        async def receive() -> Any:
            return {"type": "http.request", "body": parts.pop(), "more_body": bool(parts)}

        async def send(message: Any) -> None:
            said.append(message)

        await guard({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
        return int(said[0]["status"])

    async def scene() -> list[int]:
        first = asyncio.create_task(ask(80))
        await asyncio.sleep(0)
        refused = await ask(80)
        small = asyncio.create_task(ask(8))
        await asyncio.sleep(0)
        hold.set()
        return [await first, refused, await small, await ask(95)]

    assert asyncio.run(scene()) == [200, 429, 200, 200] and not guard.held


@contextlib.contextmanager
def served(model: Path, *flags: str) -> Iterator[int]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    env = {**os.environ, "UNLABELED_QUIET": "1"}
    command = [sys.executable, "-c", BLOCKED, str(model), "--port", str(port), "--threads", "1", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as child:
        try:
            for _ in range(600):
                if child.poll() is not None:
                    raise AssertionError("the server left")
                with contextlib.suppress(httpx.HTTPError):
                    httpx.get(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                time.sleep(0.1)
            yield port
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(60) == 0
    assert child.stdout is not None


def test_a_real_server_without_torch_stands_slow_senders(model: Path, digits: Path) -> None:
    picture = next((digits / "test").rglob("*.png")).read_bytes()
    with served(model, "--timeout", "1") as port:
        url = f"http://127.0.0.1:{port}"
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
        for number, s in enumerate(slow):  # half of them never end the head, half never send the body
            s.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\n" + (b"Content-Length: 500\r\n\r\nab" if number % 2 else b"X: ")
            )
        assert httpx.post(f"{url}/predict", files={"files": picture}).status_code == 200
        slow[1].settimeout(30)
        assert b"408" in slow[1].recv(200)
        slow[0].settimeout(30)
        assert slow[0].recv(200) == b"", "closed"
        for s in slow:
            s.close()
        assert httpx.get(f"{url}/health").json()["status"] == "ok"


@pytest.mark.skipif(not CHROMIUM.is_file(), reason="Debian's chromium is not on this machine")
def test_the_page_in_a_browser(model: Path, digits: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    files = sorted((digits / "test").rglob("*.png"))[::150]
    troubles: list[str] = []
    with served(model, "--key", "k") as port, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=240_000)
        page = browser.new_page()
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on(
            "request",
            lambda r: None if f":{port}/" in r.url or r.url.startswith(("data:", "blob:")) else troubles.append(r.url),
        )
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#name:text-is('digits')")
        page.set_input_files("#files", str(files[0]))
        page.wait_for_selector("#found .why")
        assert "X-API-Key" in page.inner_text("#found .why"), "without the key"
        page.fill("#key", "k")
        page.set_input_files("#files", [str(f) for f in files])
        page.wait_for_selector(f"#found .near img >> nth={5 * len(files) - 1}")
        assert page.locator("#found .bar").count() == 5 * len(files)
        assert "Label set" in page.inner_text("#found li:first-child .set")
        page.click("#found li:first-child button")
        page.wait_for_selector("#found li:first-child img.item[src^='data:image/png']")
        page.goto(f"http://127.0.0.1:{port}/docs")
        page.wait_for_selector("#routes h2")
        assert "POST /predict" in page.inner_text("#routes")
        browser.close()
    assert troubles == []


@pytest.mark.skipif(not CHROMIUM.is_file(), reason="Debian's chromium is not on this machine")
def test_what_has_no_picture_is_explained_on_the_page() -> None:
    """A text word by word; the files are those of the server, and its answers are given."""
    playwright = pytest.importorskip("playwright.sync_api")
    folder = Path(serve.__file__).parent
    item = {"label": "sea", "confidence": 0.9, "abstain": False, "why": "", "notes": [], "set": ["sea"],
            "strangeness": 0.5, "probabilities": {"sea": 0.9, "land": 0.1}}  # fmt: skip
    answers: dict[str, dict[str, Any]] = {
        "/health": {"model": "notes", "modality": "text", "classes": ["land", "sea"]},
        "/predict": {"items": [item]},
        "/similar": {"items": [[]]},
        "/explain": {"items": [{"label": "sea", "map": [0, 3, -1], "picture": None, "words": ["", " sailed", " on"]}]},
    }
    files = {"/": "page.html", "/page.js": "page.js", "/show.js": "classes.js"}

    def give(route: Any) -> None:
        path = route.request.url.partition("http://page.test")[2].partition("?")[0]
        if path in answers:
            route.fulfill(json=answers[path])
        else:
            route.fulfill(path=folder / files[path])

    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=240_000)
        page = browser.new_page()
        page.set_default_timeout(240_000)
        page.route("**/*", give)
        page.goto("http://page.test/")
        page.wait_for_selector("#name:text-is('notes')")
        assert page.inner_text("#drop").startswith("Drop texts here")
        assert page.get_attribute("#files", "accept") is None
        page.set_input_files("#files", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"sailed on"})
        page.click("#found button")
        page.wait_for_selector("#found .words")
        assert page.inner_text("#found .words").strip() == "sailed on"
        colours = page.eval_on_selector_all("#found .words span", "all => all.map(e => e.style.backgroundColor)")
        assert colours[1].startswith("rgba(255, 106, 0, 0.8") and colours[2].startswith("rgba(30, 110, 255, 0.2")
        assert page.locator("#found button").count() == 0
        browser.close()
