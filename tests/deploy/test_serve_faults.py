"""A detector of faults answers over HTTP and in Python as in a batch; on drawn tiles, so that the truth is known."""

import base64
import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import unlabeled as ul
from unlabeled.anomaly import _kept
from unlabeled.deploy import model as deploy_model
from unlabeled.settings import Setup, Training

pytest.importorskip("fastapi")
import uvicorn
from asking import CHROMIUM, FLAGS, bomb, png, post
from starlette.testclient import TestClient

from unlabeled.deploy.inspector import Inspector, Sights
from unlabeled.deploy.model import DETECTOR
from unlabeled.deploy.serve.app import Service, build
from unlabeled.deploy.serve.faults import Faults
from unlabeled.deploy.serve.guard import Bounds
from unlabeled.verbs.serve import offered

RATE = 0.1
BESIDE = """() => {
  const [picture, text] = document.querySelector("#found li").children;
  return text.offsetTop < picture.offsetTop + picture.offsetHeight;
}"""
SIZE = (48, 40)  # height and width: not a square


def tile(random: np.random.Generator, ill: bool) -> np.ndarray:
    """A grey texture (48, 40), or one with a dark dent in its lower right ninth."""
    pixels = 120 + 8 * random.standard_normal(SIZE)
    if ill:
        pixels[36:44, 29:37] -= 70
    return np.asarray(pixels.clip(0, 255), np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`good`, `test/good`, `test/dent`, and `found`, what detect learnt and said."""
    root, random = tmp_path_factory.mktemp("faults"), np.random.default_rng(0)
    for part, count in (("good", 24), ("test/good", 4), ("test/dent", 4)):
        (root / part).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(tile(random, part == "test/dent")).save(root / part / f"{i}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNLABELED_CACHE", str(root / "cache"))
        ul.detect(
            str(root / "good"),
            on=str(root / "test"),
            detector="planted(pictures=48,epochs=40,width=8)",
            false_alarms=RATE,
            setup=Setup(size=16, out=str(root / "found")),
            training=Training(device="cpu", threads=1),
        )
    return root


@pytest.fixture(scope="module")
def inspector(place: Path) -> Inspector:
    loaded = ul.load(str(place / "found"), threads=1)
    assert isinstance(loaded, Inspector)
    return loaded


@pytest.fixture(scope="module")
def client(inspector: Inspector) -> Iterator[TestClient]:
    bounds = Bounds(bytes=200_000, pixels=1_000_000, files=4)
    with TestClient(build(Faults(inspector), bounds), raise_server_exceptions=False) as found:  # type: ignore[arg-type]
        yield found


@pytest.fixture(scope="module")
def table(place: Path) -> pd.DataFrame:
    """What detect said of the test items."""
    return pd.read_csv(place / "found" / "scores.csv")


def test_it_answers_as_detect_did(client: TestClient, place: Path, table: pd.DataFrame) -> None:
    assert table["flagged"].tolist() == (table["label"] == "dent").tolist(), "learnt well enough to test with"
    for row in table.to_dict("records"):
        answer = post(client, "/predict", (place / "test" / row["path"]).read_bytes()).json()
        [found] = answer["items"]
        assert answer["alarms"] == RATE, "the rate that is kept with the detector"
        assert found["score"] == pytest.approx(row["score"], abs=1e-5)
        assert (found["p_value"], found["flagged"]) == (pytest.approx(row["p_value"]), row["flagged"])
        assert ("bottom right" in found["why"]) == row["flagged"], "where the dents are"
    several = post(client, "/predict", *((place / "test" / p).read_bytes() for p in table["path"][2:6])).json()
    assert [i["flagged"] for i in several["items"]] == table["flagged"][2:6].tolist()


def test_another_rate_is_kept_within_what_the_good_parts_allow(
    client: TestClient, place: Path, table: pd.DataFrame, inspector: Inspector
) -> None:
    odd = table.loc[table["label"] == "good"].sort_values("p_value").iloc[0]
    data = (place / "test" / odd["path"]).read_bytes()
    [found] = post(client, f"/predict?alarms={odd['p_value'] + 0.01}", data).json()["items"]
    assert found["flagged"] and not odd["flagged"]
    for words in ("0.01", "1", "nan", "-inf", "much"):  # 24 good ones vouch for 4 % at the least
        assert post(client, f"/predict?alarms={words}", data).status_code == 422
    with pytest.raises(ul.UserError, match="24 good items kept apart cannot vouch for 1"):
        inspector.predict([tile(np.random.default_rng(9), True)], false_alarms=0.01)


def test_the_map_has_the_size_of_the_picture_and_is_red_where_the_fault_is(client: TestClient, place: Path) -> None:
    data = (place / "test" / "dent" / "0.png").read_bytes()
    answer = post(client, "/map", data)
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.content))).astype(int)
    red = picture[..., 0] - picture[..., 2]
    assert picture.shape == (*SIZE, 3)
    assert red[34:46, 27:39].mean() > 20 + red[:24, :20].mean()
    [found] = post(client, "/predict?map=true", data).json()["items"]
    assert base64.b64decode(found["map"].removeprefix("data:image/png;base64,")) == answer.content
    for path in ("/map", "/predict?map=true"):
        assert post(client, path, data, data).status_code == 422


def test_it_says_what_it_is_and_offers_nothing_else(client: TestClient, place: Path) -> None:
    health = client.get("/health").json()
    assert (health["model"], health["good"], health["alarms"]) == ("found", 24, RATE)
    assert str(place) not in client.get("/health").text + client.get("/openapi.json").text
    before = counted(client)
    post(client, "/predict", *((place / "test" / "dent" / f"{i}.png").read_bytes() for i in range(3)))
    judged, flagged = counted(client)
    assert (judged, flagged) == (before[0] + 3, before[1] + 3)
    api = client.get("/openapi.json").json()
    assert set(api["paths"]) == {"/predict", "/map", "/health", "/metrics"}
    for path in ("/embed", "/similar", "/explain", "/drift"):
        assert client.post(path).status_code == 404
    predict, heat = api["paths"]["/predict"]["post"], api["paths"]["/map"]["post"]
    assert {p["name"]: p["schema"]["default"] for p in predict["parameters"]} == {"alarms": RATE, "map": False}
    assert list(heat["responses"]["200"]["content"]) == ["image/png"]
    for way in (predict, heat, api["paths"]["/metrics"]["get"]):
        assert all(list(told["content"]) == ["application/json"] for s, told in way["responses"].items() if s != "200")
    [told] = post(client, "/predict", (place / "good" / "0.png").read_bytes()).json()["items"]
    assert set(told) == set(api["components"]["schemas"]["Judged"]["properties"])
    assert all({"401", "413", "415", "422", "429", "503"} <= set(way["responses"]) for way in (predict, heat))


def counted(client: TestClient) -> tuple[int, int]:
    """How many pictures were judged, and how many flagged."""
    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return int(lines["unlabeled_judged_total"]), int(lines["unlabeled_flagged_total"])


def test_hostile_requests_get_a_sentence_and_never_a_500(client: TestClient, place: Path) -> None:
    good, random = (place / "good" / "0.png").read_bytes(), np.random.default_rng(0)
    wide = io.BytesIO()
    Image.fromarray(np.full((3, 4000), 60000, np.uint16)).save(wide, "TIFF")
    jpeg = io.BytesIO()
    Image.fromarray(random.integers(0, 255, (300, 300, 3), np.uint8)).save(jpeg, "JPEG")
    huge = bomb(20_000)
    for path in ("/predict", "/map", "/predict?map=true"):
        for status, data in (
            (413, huge), (413, b"x" * 300_000), (422, b""), (415, b"GIF89a"), (415, b"%!PS-Adobe-3.0 (evil) run"),
            (422, good[: len(good) // 2]), (422, jpeg.getvalue()[:9000]), (200, wide.getvalue()),
            (200, png(np.zeros((1, 1), np.uint8))), (200, png(np.full((9, 700, 4), 255, np.uint8))),
        ):  # fmt: skip
            answer = post(client, path, data)
            assert answer.status_code == status, (path, answer.text[:200])
            assert status == 200 or (set(answer.json()) == {"error"} and str(place) not in answer.text)
    for number in range(40):  # bytes of any kind
        blob = bytearray(good)
        for at in random.integers(0, len(blob), 5):
            blob[at] = random.integers(256)
        assert post(client, ("/predict", "/map")[number % 2], bytes(blob)).status_code in (200, 413, 415, 422)
    assert post(client, "/predict?map=perhaps", good).status_code == 422
    assert post(client, "/predict", good).status_code == 200


def test_a_key_is_asked_for_and_a_full_queue_says_no(inspector: Inspector, place: Path) -> None:
    good = (place / "good" / "0.png").read_bytes()
    with TestClient(build(Faults(inspector), Bounds(key="s3cret", queue=2))) as client:  # type: ignore[arg-type]
        assert post(client, "/map", good).status_code == 401 and client.get("/metrics").status_code == 401
        api = client.get("/openapi.json").json()
        assert api["paths"]["/map"]["post"]["security"] == [{"APIKeyHeader": []}]
        assert "security" not in api["paths"]["/health"]["get"]
        client.headers["X-API-Key"] = "s3cret"
        assert post(client, "/map", good).status_code == 200
        assert post(client, "/predict", good, good, good).status_code == 429


def test_a_bug_inside_shows_nothing_outside(inspector: Inspector, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(raw: np.ndarray) -> Sights:
        raise ValueError("secret /etc/shadow")

    offer = Faults(inspector)
    monkeypatch.setattr(offer, "run", broken)
    with TestClient(build(offer, Bounds()), raise_server_exceptions=False) as client:  # type: ignore[arg-type]
        answer = post(client, "/predict", (place / "good" / "0.png").read_bytes())
    assert answer.status_code == 500 and answer.json() == {"error": "the server failed"}


def test_whatever_is_in_hand_is_judged(inspector: Inspector, place: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    whole = inspector.predict(str(place / "test"))
    assert whole["path"].tolist() == table["path"].tolist()
    assert whole["score"].to_numpy() == pytest.approx(table["score"].to_numpy(), abs=1e-5)
    assert whole["flagged"].tolist() == table["flagged"].tolist()
    files = [place / "test" / path for path in table["path"]]
    pictures = [Image.open(f) for f in files]
    for given in (files, pictures, np.stack([np.asarray(p) for p in pictures])):
        assert inspector.predict(given)["p_value"].tolist() == pytest.approx(table["p_value"].tolist())
    assert inspector.maps(files[:2]).shape == (2, 48, 48)
    (tmp_path / "cut.png").write_bytes(files[0].read_bytes()[:300])
    found = inspector.predict([files[0], tmp_path / "cut.png"])
    assert found["flagged"].isna().tolist() == [False, True] and found["score"].isna().tolist() == [False, True]
    assert found["why"][1].startswith("cannot be read: ")
    assert np.isnan(inspector.maps([tmp_path / "cut.png"])).all()
    assert any("24 of them" in line for line in inspector.lines())


def test_what_a_detector_has_not_is_said_in_a_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = str(place / "found")
    with pytest.raises(ul.UserError, match="leave these settings away"):
        ul.load(kept, coverage=0.9)
    assert DETECTOR == _kept.NAME, "the name stands in two places: one is read where there is no torch"
    with pytest.raises(ul.UserError, match="detector of faults, not a model that knows classes; run: unlabeled detect"):
        ul.predict(kept, str(place / "test"))
    with pytest.raises(ul.UserError, match="leave --engine away"):
        offered(kept, "onnx", 1, None)
    with pytest.raises(ul.UserError, match="24 good items kept apart cannot vouch for 1"):
        offered(kept, "auto", 1, 0.01)
    assert offered(kept, "auto", 1, 0.3).health()["alarms"] == 0.3
    with monkeypatch.context() as bare, pytest.raises(ul.UserError, match="needs torch"):
        bare.setattr(deploy_model, "find_spec", lambda name: None)
        ul.load(kept)
    monkeypatch.setattr(uvicorn.Server, "run", lambda self: None)
    assert ul.serve(str(place / "found" / "detector.safetensors"), port=0).items == 0, (
        "its file does as well as its folder"
    )


@contextlib.contextmanager
def listening(app: Service) -> Iterator[int]:
    """A real server in a thread."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, ws="none", log_level="warning"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.02)
        yield port
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.mark.skipif(not CHROMIUM.is_file(), reason="Debian's chromium is not on this machine")
def test_the_page_in_a_browser(inspector: Inspector, place: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    files = [place / "test" / "dent" / "0.png", place / "test" / "good" / "0.png"]
    troubles: list[str] = []

    def asked(request: Any) -> None:
        if f":{port}/" not in request.url and not request.url.startswith(("data:", "blob:")):
            troubles.append(request.url)

    with listening(build(Faults(inspector), Bounds())) as port, playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS, timeout=240_000)
        page = browser.new_page()
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda e: troubles.append(str(e)))
        page.on("request", asked)
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("#name:text-is('found')")
        assert "24 good parts" in page.inner_text("#about")
        page.set_input_files("#files", [str(f) for f in files])
        page.wait_for_selector("#sum:text-is('1 of 2 flagged')")
        fine, bad = page.locator("#found li").all()  # the last one stands first
        assert "Not flagged" in fine.inner_text() and "Flagged" in bad.inner_text()
        assert "of 100 good parts look this odd" in fine.inner_text()
        assert "good parts would look this odd; it stands out most at the bottom right" in bad.inner_text()
        picture = bad.locator("img")
        assert (picture.get_attribute("src") or "").startswith("data:image/png")
        bad.locator("button").click()
        assert (picture.get_attribute("src") or "").startswith("blob:")
        colours = set()
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            for width in (360, 1280):
                page.set_viewport_size({"width": width, "height": 800})
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                beside = page.evaluate(BESIDE)
                assert beside == (width > 560), "text beside the picture, or under it on a phone"
        assert len(colours) == 2
        page.goto(f"http://127.0.0.1:{port}/docs")
        page.wait_for_selector("#routes h2")
        assert "POST /map" in page.inner_text("#routes") and "/embed" not in page.inner_text("#routes")
        browser.close()
    assert troubles == []
