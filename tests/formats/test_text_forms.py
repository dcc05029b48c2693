"""Texts as other programs write them: lists in JSON, UTF-16, what Excel is told in a first line, no line of names."""

import json
from pathlib import Path

import pytest

from unlabeled import UserError
from unlabeled.data.scan import scan
from unlabeled.data.table import Table
from unlabeled.data.texts import said

ROWS = [
    {"text": f"{what} number {i} of the whole day", "label": label}
    for i in range(6)
    for what, label in (("the whale swam past", "sea"), ("a goal in minute", "sport"))
]


def read(table: Table) -> list[dict[str, str]]:
    assert table.modality == "text"
    items = table.items
    return [
        {"text": said(table.folder, path), "label": label}
        for path, label in zip(items["path"], items["label"], strict=True)
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", ["list", "named list", "lines", "columns"])
def test_json_of_every_form(form: str, encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "reviews.json"
    whole: dict[str, object] = {
        "list": ROWS,
        "named list": {"version": "1.1", "data": ROWS},
        "columns": {name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ("text", "label")},
    }
    lines = "\n".join(json.dumps(row) for row in ROWS)
    file.write_text(lines if form == "lines" else json.dumps(whole[form], indent=1), encoding)
    assert read(scan(file)) == read(scan(tmp_path)) == ROWS


def test_lines_of_json_in_utf_16(tmp_path: Path) -> None:
    rows = [*ROWS, {"text": "ein Wal, größer als Ὀδυσσεύς \u0a0a", "label": "sea"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "reviews.jsonl").write_bytes(text.encode("utf-16"))
    assert read(scan(tmp_path / "reviews.jsonl")) == rows


def test_json_that_is_broken_or_of_something_else_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "reviews.json"
    file.write_text(json.dumps(ROWS)[:-3])
    table = scan(file)
    assert table.items["path"].tolist() == ["reviews.json"]  # told as broken by whoever reads it
    for other in ('{"name": "app", "description": "a program that does it all"}', "[1, 2, 3]", "7", "[" * 9_000):
        file.write_text(other)
        with pytest.raises(UserError, match=r'reviews.json.*; give a list of rows in it, such as \[{"text"'):
            scan(file)


@pytest.mark.parametrize("between", [",", ";", "|"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_excel_is_told_in_a_first_line_is_no_row(between: str, encoding: str, tmp_path: Path) -> None:
    texts = [f"label{between}text", *(f'{row["label"]}{between}"{row["text"]}, and; so on"' for row in ROWS)]
    (tmp_path / "a.csv").write_text("\r\n".join([f"sep={between}", *texts, ""]), encoding)
    assert read(scan(tmp_path / "a.csv")) == [{**row, "text": row["text"] + ", and; so on"} for row in ROWS]
    numbers = [between.join(("time", "flow", "heat")), *(between.join((str(i), str(i / 2), "3.5")) for i in range(20))]
    (tmp_path / "b.csv").write_text("\n".join([f"sep={between}", *numbers, ""]), encoding)
    assert scan(tmp_path / "b.csv").modality == "series"


def test_a_first_line_without_names_is_an_item(tmp_path: Path) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("".join(f'"{row["text"]}",{row["label"]}\n' for row in ROWS))
    table = scan(file)
    assert read(table) == ROWS
    note = "reviews.csv has no line of names: its first line is an item like the others, column 1 as its text and"
    assert any(one.startswith(note) for one in table.notes)
    file.write_text("".join(f'{row["label"]},{i % 2},"{row["text"]}"\n' for i, row in enumerate(ROWS)))
    assert len(scan(file)) == len(ROWS)
    file.write_text("".join(row["text"] + "\n" for row in ROWS))
    assert len(scan(file)) == len(ROWS)


@pytest.mark.parametrize("head", ["opinion,stars", "What did you like about it?,How many stars?", "remark,sea level"])
def test_names_that_nobody_knows_are_names(head: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(head + "\n" + "".join(f'"{r["text"]}",{r["label"]}\n' for r in ROWS))
    assert len(scan(tmp_path / "reviews.csv")) == len(ROWS)
