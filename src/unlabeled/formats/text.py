"""Texts: plain files, and tables (CSV, TSV, Parquet, JSON) with a column of text; a bad document is told by name
and the rest is read.
"""

import itertools
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from json import JSONDecodeError
from pathlib import Path

import pandas as pd

from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, manifest, rows_of_json
from unlabeled.formats.belonging import named
from unlabeled.formats.cells import MARKS, Layout, layout, table, unquoted
from unlabeled.formats.recording import guard_lines

PLAIN = frozenset((".txt", ".md"))
TABLES = frozenset((".csv", ".tsv", ".parquet", ".pq", ".jsonl", ".json"))
SUFFIXES = PLAIN | TABLES
TEXT = ("text", "document", "content", "body", "article", "review", "comment", "message", "tweet", "post", "abstract",
        "sentence", "utterance", "question", "description", "summary", "title")  # fmt: skip
WHOLE = frozenset(TEXT[:5])  # of these a table may hold besides the names of the files that they came from
PAIRS = (("sentence1", "sentence2"), ("text1", "text2"), ("question1", "question2"), ("premise", "hypothesis"),
         ("sentence_a", "sentence_b"))  # fmt: skip
KNOWN = {
    "label": (*manifest.WORDS["label"], "topic", "sentiment", "intent"),
    "group": (*manifest.WORDS["group"], "doc_id", "document_id", "thread", "user"),
    "domain": (*manifest.WORDS["domain"], "author", "source", "genre", "language"),
    "split": manifest.WORDS["split"],
}
NAMES = frozenset(itertools.chain(TEXT, *PAIRS, *KNOWN.values()))  # of columns that tell what they hold
ASIDE = frozenset(("readme", "license", "licence", "notice", "changelog", "contributing", "authors", "copying"))
SNIFF = 1 << 16  # bytes that tell what a file holds
WORDY = 4  # words that a column's cells have on average before it counts as text under a name that nobody knows
ROWS = 20  # of a table that are looked at for that


@dataclass(frozen=True)
class Document:
    """One document, with what its table tells of it.

    Args:
        text: what it says.
        label: its class, or None.
        group: what it belongs together with, or None.
        domain: where it comes from, or None.
        split: as the table words it, or None.
        fault: why it cannot be used, or "".
    """

    text: str
    label: str | None = None
    group: str | None = None
    domain: str | None = None
    split: str | None = None
    fault: str = ""


def need_text() -> None:
    """Refuse where the packages that texts need are not installed."""
    missing = [m for m in ("tokenizers", "transformers") if find_spec(m) is None]
    if missing:
        raise UserError(f"{' and '.join(missing)} is not installed", 'pip install "unlabeled[text]"')


def whole(path: Path) -> str:
    """All of a plain file as it stands; `checked` tells whether what is taken of it can be used.

    Raises:
        Unreadable: when it cannot be opened or has an endless line.
    """
    return _whole(os.fspath(path), _changed(path))


def rows(path: Path) -> Mapping[str, Document]:
    """The documents of a file that holds several, by their number from 0: rows of a table, or lines; `17.2` is the
    second text of row 17 in a table of pairs. The last files that were read are remembered.

    Raises:
        Unreadable: when no document of it can be told from another.
    """
    return _rows(os.fspath(path), _changed(path))


def table_of(path: Path) -> pd.DataFrame:
    """A whole table as it stands.

    Raises:
        UserError: when it cannot be read.
    """
    try:
        _guard(path)
        return _table(path)
    except (OSError, ValueError, IndexError, Unreadable) as fault:
        reason = (str(fault).splitlines() or [type(fault).__name__])[0]
        raise UserError(f"cannot read {path}: {reason}", "give a table, such as a .csv") from None


def checked(text: str) -> str:
    """The text, when it says something in UTF-8; else Unreadable.

    >>> checked("so it goes")
    'so it goes'
    """
    if not text.strip():
        raise Unreadable("it is empty")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Unreadable("it is not text in UTF-8") from None
    if "\0" in text:
        raise Unreadable("it holds bytes that are no text")
    return text


def holds_text(path: Path) -> bool:
    """Whether a file is a text or a table of texts, from its beginning; a list of files is not, unless it holds their
    texts itself and they are not there.
    """
    if path.stem.lower() in ASIDE:
        return False
    if path.suffix.lower() in PLAIN:
        try:
            with path.open("rb") as file:
                head = file.read(SNIFF)
        except OSError:
            return False
        far = _wide(head)
        told = [c for c in head.decode("utf-16" if far else "utf-8", "replace") if not c.isspace()]
        return (far or b"\0" not in head) and (not told or sum(map(_spells, told)) > 0.5 * len(told))
    try:
        some = _head(path)
    except JSONDecodeError:
        return rows_of_json.meant(path, TEXT)  # so that it is told as broken
    except (OSError, ValueError, IndexError):
        return False
    files = named(manifest.WORDS["path"], map(str, some.columns))
    return bool(_texts(some)) and not (files and _lists_files(path, files[0]))


def _lists_files(path: Path, column: str) -> bool:
    """Whether a table with a column of file names is a list of these: it has no column that is named as one of whole
    texts, or its files are beside it or in a folder there, or are none of texts.
    """
    try:
        some = _table(path, ROWS)
    except (OSError, ValueError, IndexError):
        return True
    names = [cell for cell in some[column] if isinstance(cell, str)] if column in some else []
    if not names or not {str(c).strip().lower() for c in some.columns} & WHOLE:
        return True
    folders = [path.parent, *(inner for inner in path.parent.iterdir() if inner.is_dir())]
    odd = {Path(name).suffix.lower() for name in names} - {*PLAIN, ""}
    return bool(odd) or any((folder / name).exists() for folder in folders for name in names)


def _spells(sign: str) -> bool:
    """Whether a sign is of a word: a letter, a vowel or an accent that stands beside one, or a picture such as 😀."""
    return sign.isalpha() or unicodedata.category(sign) in ("Mn", "Mc", "Me", "So", "Sk")


def lists(path: Path) -> bool:
    """Whether a plain file holds a document a line: several lines, and no empty ones that part paragraphs."""
    try:
        lines = _lines(_whole(os.fspath(path), _changed(path)))
    except Unreadable:
        return False
    return len(lines) > 1 and sum(not line.strip() for line in lines) <= 0.02 * len(lines)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as fault:
        raise Unreadable(fault.strerror or "it cannot be opened") from None


@lru_cache(maxsize=16)
def _whole(path: str, changed: int) -> str:
    file = Path(path)
    try:
        guard_lines(file, file.suffix.lower())
        found = file.read_bytes()
        said = found.decode("utf-16") if _wide(found) else found.decode("utf-8-sig", "surrogateescape")
        return said.replace("\r\n", "\n")
    except OSError as fault:
        raise Unreadable(fault.strerror or "it cannot be read") from None
    except UnicodeDecodeError:
        raise Unreadable("it begins as text in UTF-16 and does not go on so") from None


def _wide(said: bytes) -> bool:
    """Whether a plain file is in UTF-16: its mark alone may be chance, a space or an end of a line with it is none."""
    return said[:2] in MARKS and b"\0" in said


def _lines(whole: str) -> list[str]:
    """The lines of a plain file; what Unicode holds for other ends of lines is part of a document."""
    lines = re.split(r"\r\n|\r|\n", whole)
    return lines if lines[-1] else lines[:-1]


@lru_cache(maxsize=16)
def _rows(path: str, changed: int) -> Mapping[str, Document]:
    file = Path(path)
    if file.suffix.lower() in PLAIN:
        return {str(i): _document(line) for i, line in enumerate(_lines(_whole(path, changed)))}
    try:
        _guard(file)
        table = _table(file)
    except (OSError, ValueError, IndexError) as fault:
        raise Unreadable((str(fault).splitlines() or [type(fault).__name__])[0]) from None
    texts = _texts(table)
    if not texts:
        raise Unreadable("none of its columns holds text")
    own = {str(c): c for c in reversed(list(table.columns)) if c not in texts}
    told = {what: next((own[c] for c in named(words, reversed(own))), None) for what, words in KNOWN.items()}
    out: dict[str, Document] = {}
    for number, row in enumerate(table.to_dict("records")):
        known = {what: _word(row[column]) if column is not None else None for what, column in told.items()}
        if len(texts) == 1:
            out[str(number)] = _document(row[texts[0]], **known)
            continue
        both = {"group": f"{file.name}#{number}", "domain": known["domain"], "split": known["split"]}
        for place, column in enumerate(texts, 1):  # the label of a pair is none of its texts'
            out[f"{number}.{place}"] = _document(row[column], **both)
    return out


def _document(
    cell: object,
    label: str | None = None,
    group: str | None = None,
    domain: str | None = None,
    split: str | None = None,
) -> Document:
    text = cell if isinstance(cell, str) else ""
    try:
        checked(text)
    except Unreadable as fault:
        return Document("", label, group, domain, split, str(fault))
    return Document(text, label, group, domain, split)


def _word(cell: object) -> str | None:
    """A cell as a word, as manifests have it: whole numbers without a point, letters in one form, nothing for what is
    missing.
    """
    if cell is None or cell != cell:
        return None
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()
    return unicodedata.normalize("NFC", text) or None


def _table(path: Path, most: int | None = None) -> pd.DataFrame:
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _parquet(path, most)
    if suffix in (".jsonl", ".json"):
        return _json(path, most)
    how = layout(path)
    how = replace(how, between="\t" if suffix == ".tsv" else how.between, decimal=".")
    bare = how.between == "\t" and unquoted(path)
    found = table(path, how, object, plain=True, rows=most, damaged=True, bare=bare)
    if names := _unheaded(how, found):
        return table(path, replace(how, names=names), object, plain=True, rows=most, damaged=True, bare=bare)
    return found


def note(path: Path) -> str:
    """What to tell of a table of text whose first line is no line of names, or ""; nothing of others."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return ""
    try:
        names = [str(c) for c in _table(path, ROWS).columns]
        if tuple(names) == layout(path).head:
            return ""
    except (OSError, ValueError, IndexError):
        return ""
    known = " and ".join(f"column {names.index(w) + 1} as its {w}" for w in ("text", "label") if w in names)
    return f"{path.name} has no line of names: its first line is an item like the others, {known}"


def _unheaded(how: Layout, found: pd.DataFrame) -> tuple[str, ...]:
    """Names for the columns of a table whose first line is an item like those below: none of it is a known name, and a
    cell comes again in its column, beside a text; or it is one sentence alone, and no question that was asked.
    """
    known = {manifest.folded(w) for w in (*NAMES, *itertools.chain(*manifest.WORDS.values()))}
    head, some = how.head, found.head(ROWS)
    if how.trailing or len(head) != found.shape[1] or {manifest.folded(cell) for cell in head} & known:
        return ()
    if len(head) == 1:
        return ("text",) if len(head[0].split()) >= WORDY and not head[0].endswith(("?", ":")) else ()
    texts = [i for i, c in enumerate(found.columns) if c in _texts(found)]
    again = [i for i, cell in enumerate(head) if cell and cell in {str(c).strip() for c in some.iloc[:, i]}]
    if len(texts) != 1 or not set(again) - set(texts):
        return ()
    other = "label" if len(head) == 2 else ""
    return tuple("text" if i in texts else other or str(i + 1) for i in range(len(head)))


def _guard(path: Path) -> None:
    if path.suffix.lower() != ".json":  # which is one line as often as not
        guard_lines(path, path.suffix.lower())


def _parquet(path: Path, most: int | None) -> pd.DataFrame:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    table = file.read() if most is None else next(file.iter_batches(most), None)
    return pd.DataFrame(table.to_pydict()) if table is not None else pd.DataFrame(columns=file.schema.names)


def _json(path: Path, most: int | None) -> pd.DataFrame:
    """Of rows, and of texts that stand alone."""
    whole = path.suffix.lower() == ".json"
    found = list(itertools.islice(rows_of_json.listed(path, WHOLE) if whole else rows_of_json.lines(path), most))
    named = {name for row in found if isinstance(row, dict) for name in row}  # no other column is opened beside these
    alone = not named or "text" in named
    rows = [row if isinstance(row, dict) else {"text": row} if alone else {} for row in found]
    return pd.DataFrame(rows, dtype=object)


def _head(path: Path) -> pd.DataFrame:
    """The first rows of a table; an endless line is not read to its end."""
    if path.suffix.lower() in (".parquet", ".pq"):
        return _parquet(path, ROWS)
    if path.suffix.lower() in (".jsonl", ".json"):
        return _json(path, ROWS)
    with path.open("rb") as file:
        file.readline(SNIFF)
        rest = file.read(SNIFF)
    names = list(layout(path).head)
    if {n.lower() for n in names} & {*TEXT, *(c for pair in PAIRS for c in pair)} or not rest:
        return pd.DataFrame(columns=names)
    return _table(path, ROWS)


def _texts(table: pd.DataFrame) -> list[object]:
    """The columns that hold the texts: two of a table of pairs, else one, else none."""
    lower = {str(c).strip().lower(): c for c in reversed(list(table.columns))}
    for pair in PAIRS:
        if all(name in lower for name in pair):
            return [lower[name] for name in pair]
    for name in TEXT:
        if name in lower:
            return [lower[name]]
    some = table.head(ROWS)
    words = {c: some[c].map(lambda cell: len(cell.split()) if isinstance(cell, str) else 0).mean() for c in some}
    best = max(words, key=lambda c: words[c], default=None)
    return [best] if best is not None and words[best] >= WORDY else []
