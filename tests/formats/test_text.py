"""Texts as they lie on disk: plain files, lines, tables; what is bad is told by name and the rest is read."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unlabeled import UserError
from unlabeled.arms.lsa import LSA
from unlabeled.arms.tfidf import Tfidf
from unlabeled.data import doctor
from unlabeled.data.prepare import prepare
from unlabeled.data.scan import scan
from unlabeled.data.texts import readable, said
from unlabeled.data.tokens import opened
from unlabeled.formats import Unreadable, text
from unlabeled.modalities.text import Text

SENTENCES = ["the whale swam past the ship.", "a goal in the last minute won the match.", "shares fell on the news."]


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))


def many(count: int = 60) -> pd.DataFrame:
    rows = [(f"{SENTENCES[i % 3]} number {i} of {count}", ("sea", "sport", "money")[i % 3]) for i in range(count)]
    return pd.DataFrame(rows, columns=["text", "label"])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".jsonl"])
def test_tables_of_every_kind(suffix: str, tmp_path: Path) -> None:
    frame, file = many(), tmp_path / f"train{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(file)
    elif suffix == ".jsonl":
        file.write_text("\n".join(json.dumps(r) for r in frame.to_dict("records")))
    else:
        frame.to_csv(file, index=False, sep="\t" if suffix == ".tsv" else ",")
    table = scan(tmp_path)
    assert table.modality == "text" and len(table) == 60 and table.classes == ["money", "sea", "sport"]
    assert said(table.folder, table.items["path"][1]) == frame["text"][1]


def test_a_column_is_found_by_what_it_holds(tmp_path: Path) -> None:
    many().rename(columns={"text": "wording"}).assign(id=range(60)).to_csv(tmp_path / "notes.csv", index=False)
    table = scan(tmp_path)
    assert table.modality == "text" and len(table.classes) == 3


def test_a_title_that_begins_with_test_is_no_split(tmp_path: Path) -> None:
    for kind in ("good", "bad"):
        (tmp_path / kind).mkdir()
        for title in ("cat-food", "test-of-courage", "dog-days"):
            (tmp_path / kind / f"{title}.txt").write_text(f"{SENTENCES[0]} {kind} {title}")
    assert scan(tmp_path).items["split"].tolist() == ["train"] * 6


def test_semicolons_part_the_label_from_the_text(tmp_path: Path) -> None:
    many().to_csv(tmp_path / "notes.csv", index=False, sep=";")
    table = scan(tmp_path / "notes.csv")
    assert table.classes == ["money", "sea", "sport"]
    assert said(table.folder, table.items["path"][1]) == many()["text"][1]


def test_empty_lines_of_json_are_no_documents(tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text('{"text": "the sea"}\n\n{"text": "a ship"}\n\n \n')
    assert [(d.text, d.fault) for d in text.rows(tmp_path / "notes.jsonl").values()] == [
        ("the sea", ""),
        ("a ship", ""),
    ]


def test_odd_lines_of_json_lose_themselves_alone(tmp_path: Path) -> None:
    good = [json.dumps({"passage": f"{s} and so on", "label": "sea"}) for s in SENTENCES * 3]
    odd = ["{broken", "null", "7", '"a line by itself"', '{"passage": "short"}']
    (tmp_path / "notes.jsonl").write_text("\n".join([*odd, *good]))
    table = scan(tmp_path)
    found = [d.text for d in text.rows(tmp_path / "notes.jsonl").values()]
    assert len(table) == len(found) == 5 + len(good)
    assert found == ["", "", "", "", "short", *(f"{s} and so on" for s in SENTENCES * 3)]


def test_labels_are_words_in_one_form_of_letters(tmp_path: Path) -> None:
    rows = [("so it goes", "Ka\u0308se"), ("and on it goes", "K\u00e4se"), ("and it stops", float("inf"))]
    (tmp_path / "notes.jsonl").write_text("\n".join(json.dumps({"text": t, "label": k}) for t, k in rows))
    assert scan(tmp_path).items["label"].tolist() == ["K\u00e4se", "K\u00e4se", "inf"]


def test_columns_that_may_be_labels_are_told(tmp_path: Path) -> None:
    many().rename(columns={"label": "Class Index"}).assign(id=7).to_csv(tmp_path / "train.csv", index=False)
    assert any('others: Class Index, id): call the one that does "label"' in n for n in scan(tmp_path).notes)
    many().assign(id=7).to_csv(tmp_path / "train.csv", index=False)
    assert scan(tmp_path).notes == ()


def test_marks_in_tables_of_tabs_swallow_no_rows(tmp_path: Path) -> None:
    texts = ['"a grey ship', "the sea", '"old" tugs sail', 'it said "no"', 'a 5" nail"', "last of all"]
    file = tmp_path / "train.tsv"
    file.write_text("sentence\tlabel\n" + "".join(f"{t}\t{i % 2}\n" for i, t in enumerate(texts)))
    assert [d.text for d in text.rows(file).values()] == texts
    quoted = ['say "no"', "two\nlines\tand a tab", "plain"]
    pd.DataFrame({"sentence": quoted, "label": [0, 1, 0]}).to_csv(tmp_path / "test.tsv", sep="\t", index=False)
    assert [d.text for d in text.rows(tmp_path / "test.tsv").values()] == quoted


@pytest.mark.parametrize(("mark", "words"), [(b"", 20_000), (b"\xef\xbb\xbf", 3)])
def test_lines_of_json_may_begin_with_a_book_or_a_byte_order_mark(tmp_path: Path, mark: bytes, words: int) -> None:
    rows = [{"text": "word " * words, "label": "long"}, {"text": "so it goes", "label": "short"}]
    (tmp_path / "notes.jsonl").write_bytes(mark + "\n".join(map(json.dumps, rows)).encode())
    table = scan(tmp_path)
    assert table.modality == "text" and table.items["label"].tolist() == ["long", "short"]


def test_files_named_after_splits_and_columns_that_tell_them(tmp_path: Path) -> None:
    many().to_csv(tmp_path / "train.csv", index=False)
    many(9).assign(author="wells").to_csv(tmp_path / "test.csv", index=False)
    table = scan(tmp_path)
    assert table.form == "train and test files"
    assert len(table.rows("train")) == 60 and len(table.rows("test")) == 9
    assert set(table.items["domain"].dropna()) == {"wells"}
    file = tmp_path / "one.csv"
    many(6).assign(split=["train", "test"] * 3).to_csv(file, index=False)
    assert len(scan(file).rows("test")) == 3


def test_a_split_that_is_none_is_refused_and_not_learnt_from(tmp_path: Path) -> None:
    frame = many().assign(split=["train"] * 40 + ["eval"] * 20)
    frame.to_csv(tmp_path / "notes.csv", index=False)
    with pytest.raises(UserError, match='has the split "eval"'):
        scan(tmp_path)
    frame.assign(split=["", *["news"] * 59]).to_csv(tmp_path / "notes.csv", index=False)  # it tells something else
    assert scan(tmp_path).items["split"].tolist() == ["train"] * 60


def test_pairs_give_two_texts_of_one_group_and_no_label(tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    pd.DataFrame({"score": [1.0, 5.0], "sentence1": SENTENCES[:2], "sentence2": SENTENCES[1:]}).to_csv(
        file, index=False
    )
    table = scan(file)
    assert table.items["path"].tolist() == [f"pairs.csv#{k}" for k in ("0.1", "0.2", "1.1", "1.2")]
    assert table.items["group"].nunique() == 2 and not table.classes
    assert said(table.folder, "pairs.csv#1.2") == SENTENCES[2]


def test_documents_in_class_folders_and_a_list_of_lines(tmp_path: Path) -> None:
    for i in range(6):
        place = tmp_path / "folders" / ("a", "b")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{i}.txt").write_text("\n".join(SENTENCES))
    table = scan(tmp_path / "folders")
    assert table.modality == "text" and len(table) == 6 and table.form == "class folders"
    (tmp_path / "list.txt").write_text("\n".join(SENTENCES))
    assert len(scan(tmp_path / "list.txt")) == 3
    (tmp_path / "prose.txt").write_text("\n\n".join(SENTENCES))
    assert len(scan(tmp_path / "prose.txt")) == 1


def test_plain_files_in_utf_16_and_lines_of_any_end(tmp_path: Path) -> None:
    (tmp_path / "sea").mkdir()
    (tmp_path / "sea" / "a.txt").write_bytes("the whale swam past the café\r\nat noon".encode("utf-16"))
    table = scan(tmp_path)
    assert [said(tmp_path, p) for p in table.items["path"]] == ["the whale swam past the café\nat noon"]
    (tmp_path / "sea" / "a.txt").write_bytes(b"\xff\xfea\0b")
    with pytest.raises(Unreadable, match="UTF-16"):
        said(tmp_path, "sea/a.txt")
    for end in ("\n", "\r\n", "\r"):
        lines = ["one\u2028two", "so it\x85 goes", "last of all"]
        (tmp_path / "train.txt").write_bytes(end.join([*lines, ""]).encode())
        assert [d.text for d in text.rows(tmp_path / "train.txt").values()] == lines


def test_numbers_and_lists_of_files_are_no_texts(tmp_path: Path) -> None:
    (tmp_path / "series.csv").write_text("time,x,y\n0,1.5,2.0\n1,2.5,3.0\n")
    (tmp_path / "list.csv").write_text("path,text\na.png,what is shown on it\n")
    (tmp_path / "README.md").write_text("A folder of things.")
    assert not text.holds_text(tmp_path / "list.csv") and not text.holds_text(tmp_path / "README.md")
    (tmp_path / "news.csv").write_text("category\tfilename\tcontent\nsport\t001.txt\tit was a long match\n")
    assert text.holds_text(tmp_path / "news.csv")  # no such file, but what it said: as BBC's news are given
    assert scan(tmp_path / "news.csv").classes == ["sport"]
    (tmp_path / "said").mkdir()
    (tmp_path / "said" / "001.txt").write_text("it was a long match")
    assert not text.holds_text(tmp_path / "news.csv")
    (tmp_path / "titles.csv").write_text("filename,title\n002.txt,what it is all about\n")
    assert not text.holds_text(tmp_path / "titles.csv")
    assert scan(tmp_path / "series.csv").modality == "series"
    frame = many(30).assign(date="2026-01-01")
    frame[["date", "text", "label"]].to_csv(tmp_path / "dated.csv", index=False)
    assert scan(tmp_path / "dated.csv").modality == "text"


@pytest.mark.parametrize(
    "said",
    [
        "நான் சென்னையில் வசிக்கிறேன்.",
        "မြန်မာဘာသာစကားသည် မြန်မာနိုင်ငံ၏ ရုံးသုံးဘာသာစကား ဖြစ်သည်။",
        "ថ្ងៃនេះអាកាសធាតុល្អណាស់។",
        "👍🏽 ❤️ 👩\u200d🔬",
    ],
    ids=["Tamil", "Burmese", "Khmer", "pictures"],
)
def test_scripts_that_write_vowels_as_marks_and_pictures_are_text(said: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(said, "utf-8")
    (tmp_path / "b.txt").write_text("0.5 1.5\n2.5 3.5\n")
    assert text.holds_text(tmp_path / "a.txt") and not text.holds_text(tmp_path / "b.txt")


def test_long_texts_become_windows_of_one_group(tmp_path: Path) -> None:
    words = " ".join(f"{s} and so it went on, word {i}." for i, s in enumerate(SENTENCES * 80))
    for name in ("train/one.txt", "test/two.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(words.replace("whale", name[-7:-4]))
    prepared = prepare(tmp_path, size=32)
    items = prepared.table.items
    assert items["group"].nunique() == 2 and items.groupby("group")["split"].nunique().max() == 1
    whole = "".join(said(tmp_path, p) for p in items["path"] if p.startswith("train/"))
    assert whole == (tmp_path / "train/one.txt").read_text()  # nothing is lost between windows
    ends = [said(tmp_path, p)[-1] for p in items["path"][:-1]]
    assert np.mean([e == "." for e in ends]) > 0.5  # windows end with a sentence where they can
    assert prepared.store.array.max() < 65_536 and (prepared.store.array[:, 0, 0] == 1).all()


def test_windows_of_scripts_without_spaces_part_no_letter_and_lose_nothing(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    book = "".join("".join(map(chr, chance.integers(0x4E00, 0x5200, 3))) + "。！"[i % 2] for i in range(400))
    (tmp_path / "book.txt").write_text(book, "utf-8")
    ready = prepare(tmp_path, size=64, tokenizer="uncased(vocabulary=300)")
    parts = [said(tmp_path, path) for path in ready.table.items["path"]]
    assert "".join(parts) == book and len(parts) > 40
    own = opened(ready.prep.tokenizer)  # type: ignore[attr-defined]
    assert max(len(own.encode(part).ids) for part in parts) <= 62
    assert all(part.endswith(("。", "！")) for part in parts)


def test_bad_documents_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    for split in ("train", "test"):
        folder = tmp_path / split / "sea"
        folder.mkdir(parents=True)
        other = tmp_path / split / "land"
        other.mkdir()
        for i in range(12):
            (folder / f"{i}.txt").write_text(f"{SENTENCES[0]} again {i}")
            (other / f"{i}.txt").write_text(f"{SENTENCES[1]} again {i}")
    bad = tmp_path / "train" / "sea"
    (bad / "empty.txt").write_text(" \n ")
    (bad / "latin.txt").write_bytes("caf\xe9 on the quay".encode("latin-1"))
    (bad / "null.txt").write_bytes(b"some\0thing")
    with (bad / "endless.txt").open("wb") as file:
        for _ in range(20):
            file.write(b"word " * 200_000)  # 20 MB without an end of line
    prepared = prepare(tmp_path)
    broken = {b.path.rpartition("/")[2]: b.reason for b in prepared.table.broken}
    assert len(prepared.table) == 48
    assert broken["empty.txt"] == "it is empty" and "UTF-8" in broken["latin.txt"]
    assert "16 MB" in broken["endless.txt"] and "no text" in broken["null.txt"]
    report = doctor.examine(scan(tmp_path))
    assert {b.path.rpartition("/")[2] for b in report.broken} == set(broken)


def test_bad_rows_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [b"text,label", *(f"{SENTENCES[i % 3]} {i},{'ab'[i % 2]}".encode() for i in range(40))]
    lines[1] = "café au lait,a".encode()  # so that the other one is a fault and no cp1252
    lines += [b"caf\xe9 noir,a", b'"",b']
    (tmp_path / "train.csv").write_bytes(b"\n".join(lines))
    prepared = prepare(tmp_path)
    reasons = {b.path: b.reason for b in prepared.table.broken}
    assert reasons == {"train.csv#40": "it is not text in UTF-8", "train.csv#41": "it is empty"}
    with pytest.raises(Unreadable, match="no row 99"):
        said(tmp_path, "train.csv#99")


@pytest.mark.parametrize("odd", ["a, row, with, cells, too, many\n", '"a cell without an end,sea\n'])
def test_a_table_that_cannot_be_parted_is_told_and_never_learnt_from_as_it_stands(odd: str, tmp_path: Path) -> None:
    many(30).to_csv(tmp_path / "train.csv", index=False)
    with (tmp_path / "train.csv").open("a") as file:
        file.write(odd)
    many(9).to_csv(tmp_path / "test.csv", index=False)
    table, found = readable(scan(tmp_path))
    assert len(found) == len(table) == 9 and not any("text,label" in one for one in found)
    assert [b.path for b in table.broken] == ["train.csv"] and table.broken[0].reason.startswith("Error tokenizing")


def test_nothing_readable_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.txt").write_bytes(b"\xff\xfe\xfa\xc3 abcdefgh ijklmn")
    with pytest.raises(UserError, match="UTF-8"):
        prepare(tmp_path)


def test_the_tokenizer_learns_nothing_from_the_test_split(tmp_path: Path) -> None:
    frame = many(80)
    frame.to_csv(tmp_path / "train.csv", index=False)
    odd = frame.assign(text="zyzzyvas zyzzyvas quixotically zyzzyvas")
    odd.head(20).to_csv(tmp_path / "test.csv", index=False)
    prepared = prepare(tmp_path)
    assert "zyzz" not in prepared.prep.tokenizer
    assert prepare(tmp_path).prep == prepared.prep  # and it is the same each time


def test_the_doctor_finds_copies_and_leaks(tmp_path: Path) -> None:
    frame = many(60)
    long = " ".join(f"word{i}" for i in range(40))
    train = pd.concat([frame, pd.DataFrame({"text": [long, frame["text"][0]], "label": ["sea", "sea"]})])
    train.to_csv(tmp_path / "train.csv", index=False)
    leak = pd.DataFrame({"text": [frame["text"][5], f"{long} indeed"], "label": ["money", "sea"]})
    leak.to_csv(tmp_path / "test.csv", index=False)
    found = {(f.kind, f.severity): f.text for f in doctor.examine(scan(tmp_path)).findings}
    assert "both sides" in found["leak", "error"] and "few words" in found["leak", "warning"]
    assert found["duplicates", "info"]


def test_the_doctor_counts_words_where_no_space_parts_them(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    texts = ["".join(map(chr, chance.integers(0x4E00, 0x5200, 60))) + "。" for _ in range(9)]
    pd.DataFrame({"text": texts, "label": list("abc") * 3}).to_csv(tmp_path / "train.csv", index=False)
    near = {"text": [texts[0].replace(texts[0][-3], "船"), "夜" * 30], "label": ["a", "b"]}
    pd.DataFrame(near).to_csv(tmp_path / "test.csv", index=False)
    found = doctor.examine(scan(tmp_path))
    assert found.facts["words"] == [30, 60, 60] and "lengths" not in {f.kind for f in found.findings}
    assert any(f.kind == "leak" and "few words" in f.text for f in found.findings)


def test_texts_without_a_word_are_told_apart(tmp_path: Path) -> None:
    for split, signs in (("train", ["👍", "😀", "!!!", ":-)"]), ("test", ["👎", "?!"])):
        pd.DataFrame({"text": signs, "label": ["a", "b"] * (len(signs) // 2)}).to_csv(tmp_path / f"{split}.csv")
    assert not {f.kind for f in doctor.examine(scan(tmp_path)).findings} & {"leak", "duplicates"}
    ready = prepare(tmp_path)
    looks = Text.fitting(asdict(ready.prep), {"size": ready.size})  # type: ignore[call-overload]
    for arm in (Tfidf(), LSA()):
        found = arm.fit(ready.store, ready.learning, looks, 0).features(ready.store, ready.learning, looks)
        assert np.isfinite(found).all() and len(np.unique(found.round(4), axis=0)) > 1
