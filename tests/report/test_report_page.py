"""The page as a file: whole, safe with hostile names, and standing when parts of the study are missing."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import unlabeled as ul
from unlabeled.errors import UserError
from unlabeled.report import page
from unlabeled.report.page import ORDER, write

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}"


class Reader(HTMLParser):
    """Collects elements, the text that a person sees, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.seen, self.scripts, self.inside = "", list[str](), ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif self.inside != "style":
            self.seen += data


def read(path: Path) -> Reader:
    return Reader(path.read_text("utf-8"))


def squeeze(text: str) -> str:
    return " ".join(text.split())


def test_page_holds_every_section_and_the_sentence(whole_study: Path, tmp_path: Path) -> None:
    out = write(whole_study, tmp_path / "page.html")
    reader = read(out)
    assert json.loads((whole_study / "answer.json").read_text())["sentence"] in squeeze(reader.seen)
    ids = [attrs["id"] for tag, attrs in reader.tags if tag == "section"]
    assert ids == [m.__name__.rpartition(".")[2] for m in ORDER]
    assert "Not shown" not in reader.seen
    assert out.stat().st_size < 12e6
    assert not [p for p in tmp_path.iterdir() if p != out], "something was left beside the page"


def test_nothing_on_the_page_points_outside(whole_study: Path, tmp_path: Path) -> None:
    reader = read(write(whole_study, tmp_path / "page.html"))
    for tag, attrs in reader.tags:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            assert str(attrs.get(key, "#")).startswith(("#", "data:")), f"<{tag} {key}={attrs[key]}>"
    assert sum("plotly.js v" in s for s in reader.scripts) == 1
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None and "default-src 'none'" in policy and "script-src 'sha256-" in policy


def test_same_folder_gives_the_same_bytes(whole_study: Path, tmp_path: Path) -> None:
    first, second = (write(whole_study, tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == second


def test_names_from_data_stay_text(study: Path, tmp_path: Path) -> None:
    names = {c: f"{HOSTILE}{c}" for c in map(str, range(10))}
    data = json.loads((study / "data.json").read_text())
    data["classes"] = list(names.values())
    data["counts"] = {s: {names[c]: n for c, n in part.items()} for s, part in data["counts"].items()}
    data["root"] = HOSTILE
    data["findings"].append({"kind": HOSTILE, "severity": HOSTILE, "text": HOSTILE, "examples": [HOSTILE]})
    data["broken"] = [{"path": HOSTILE, "reason": HOSTILE}]
    (study / "data.json").write_text(json.dumps(data))
    answer = json.loads((study / "answer.json").read_text())
    answer |= {k: HOSTILE for k in ("sentence", "command", "created")} | {"details": [HOSTILE], "limits": [HOSTILE]}
    (study / "answer.json").write_text(json.dumps(answer))
    (study / "config.yaml").write_text(HOSTILE)
    test = dict(np.load(study / "test.npz"))
    test["paths"] = np.array([HOSTILE + p for p in test["paths"]])
    np.savez(study / "test.npz", **test)
    table = pd.read_csv(study / "table.csv")
    table["metric"] = [m if "/" not in m else f"{m.split('/')[0]}/{names[m.split('/')[1]]}" for m in table["metric"]]
    table.to_csv(study / "table.csv", index=False)
    for file in (study / "runs").glob("*/metrics.jsonl"):
        file.write_text(json.dumps({"step": 1, "loss": 1.0, "health": HOSTILE}))

    out = write(study, tmp_path / "page.html")
    reader = read(out)
    assert len(reader.scripts) == 3 and not any("alert(1)" in s for s in reader.scripts[1:])
    assert not [t for t, attrs in reader.tags if any(k.startswith("on") for k in attrs)]
    assert all(str(a.get("src")).startswith("data:image/") for t, a in reader.tags if t == "img")
    assert reader.seen.count(HOSTILE) > 30 and "49" + '"' not in reader.seen
    figures = json.loads(reader.scripts[0])
    shown = [t["name"] for t in figures["map-0-before"]["data"]]
    assert shown and not any("<" in name for name in shown), "plotly would read this as HTML"
    assert figures["map-items"]["items"]["0"]["c"].startswith(HOSTILE), "shown as text, so it stays as it is"


PARTS = (
    "answer.json", "data.json", "test.npz", "views.npz", "table.csv", "summary.csv", "differences.csv", "tsne.npz",
    "costs.json", "config.yaml", "predictions", "runs", "reconstructions-rbm.npz",
    "generated-rbm.npz",
)  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("how", ["gone", "broken"])
def test_page_stands_without_any_one_part(study: Path, name: str, how: str) -> None:
    path = study / name
    for file in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
        if how == "broken" and file.is_file():
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])
    if how == "gone":
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    reader = read(write(study))
    told = {line for line in reader.seen.splitlines() if "Not shown" in line}
    silent = {"views.npz", "config.yaml", "runs", "differences.csv"}  # extras: the page is whole without them
    silent |= {"reconstructions-rbm.npz", "generated-rbm.npz"} if how == "gone" else set()
    if name not in silent:
        assert any(name.split(".")[0] in line for line in told), f"nothing on the page says that {name} is {how}"
    if name == "differences.csv" and how == "gone":
        assert "the study holds no paired differences" in reader.seen


def test_only_an_answer_makes_a_page(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps({"sentence": "Take simclr: it is right."}))
    reader = read(write(tmp_path))
    assert "Take simclr: it is right." in squeeze(reader.seen)
    assert "Not shown: summary.csv is not in the study's folder." in squeeze(reader.seen)


def test_what_is_no_study_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        write(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no study"):
        write(tmp_path)


def test_pickles_are_not_loaded(study: Path) -> None:
    np.savez(study / "tsne.npz", **{"rbm/before": np.array([{"a": 1}], dtype=object)})
    assert "tsne.npz is not a whole array file" in read(write(study)).seen


def test_a_failed_write_leaves_the_old_page(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = write(study).read_bytes()
    monkeypatch.setattr(page, "_page", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(study)
    assert (study / "report.html").read_bytes() == old
    assert not list(study.glob(".*"))


def test_verb_writes_where_it_is_told(study: Path, tmp_path: Path) -> None:
    result = ul.report(str(study), out=str(tmp_path / "deep" / "my.html"))
    assert result.page == tmp_path / "deep" / "my.html" and result.page.is_file()
    assert re.search(r"my\.html \(\d\.\d MB", result.lines()[0])


def test_report_imports_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, unlabeled.verbs.report; sys.exit('torch' in sys.modules)"], check=False
    )
    assert done.returncode == 0
