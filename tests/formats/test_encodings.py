"""Tables are read in the encodings that spreadsheets write, and what is none of them is told in one line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unlabeled.data.scan import scan
from unlabeled.data.texts import said
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, cells, manifest, recording

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "cp1252"]
NOTE = "is not in UTF-8 and was read as cp1252"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_recordings(tmp_path: Path, encoding: str) -> None:
    rows = [f"{t},{t}.5,Käse" for t in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["time,Temp °C,label", *rows]), encoding=encoding)
    assert (scan(tmp_path).modality, len(scan(tmp_path))) == ("series", 1)
    found = recording.read(tmp_path / "a.csv")[""]
    assert found.variables == ("Temp °C",)
    assert found.marks is not None and set(found.marks) == {"Käse"}
    assert any(NOTE in note for note in found.notes) == (encoding == "cp1252")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_manifests(tmp_path: Path, encoding: str) -> None:
    for i in range(4):
        Image.fromarray(np.full((8, 8), i, np.uint8)).save(tmp_path / f"ü{i}.png")
    rows = [f"ü{i}.png;Käse" for i in range(4)]
    (tmp_path / "m.csv").write_text("\n".join(["path;label", *rows]), encoding=encoding)
    for place in (tmp_path, tmp_path / "m.csv"):
        table = scan(place)
        assert (table.classes, len(table)) == (["Käse"], 4)
        assert all((tmp_path / path).is_file() for path in table.items["path"])
        assert any(NOTE in note for note in table.notes) == (encoding == "cp1252")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_texts(tmp_path: Path, encoding: str) -> None:
    rows = [f"Ein schöner Tag mit der Nummer {i},Käse" for i in range(4)]
    (tmp_path / "t.csv").write_text("\n".join(["text,label", *rows]), encoding=encoding)
    for place in (tmp_path, tmp_path / "t.csv"):
        table = scan(place)
        assert (table.modality, table.classes, len(table)) == ("text", ["Käse"], 4)
        assert any(NOTE in note for note in table.notes) == (encoding == "cp1252")
    assert said(tmp_path, "t.csv#2") == "Ein schöner Tag mit der Nummer 2"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"time,x\n0,\xe4\n1,\xc3\xa4\n", "partly in UTF-8"),
        (b"time,x\n0,\xe4\x00\x01\n", "neither in UTF-8 nor in cp1252"),
    ],
)
def test_what_is_not_safe_is_one_line(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(Unreadable, match=words):
        recording.read(tmp_path / "x.csv")
    (tmp_path / "m.csv").write_bytes(data.replace(b"time", b"path"))
    with pytest.raises(UserError, match=words):
        manifest.read(tmp_path / "m.csv")


def test_all_of_a_file_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"path,label\n" + b"a,b\n" * 300_000 + b"c,K\xe4se\n")
    assert cells.encoding(tmp_path / "x.csv") == "cp1252"
    assert manifest.read(tmp_path / "x.csv")["label"].iloc[-1] == "Käse"
