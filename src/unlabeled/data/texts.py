"""Texts as items: rows of token numbers of one length, read into the store; long unlabelled documents
are cut into windows.

A path says which part of which file an item is: `train.csv#17` is row 17 of a table (or line 17 of a plain file), and
`book.txt@1200+500` are 500 characters from character 1,200 on.
"""

import re
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from unlabeled.data.table import Broken, Table
from unlabeled.data.tokens import made, opened, rarity
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable, text
from unlabeled.progress import bar

ENDINGS = "|".join(sorted((s[1:] for s in text.SUFFIXES), key=len, reverse=True))
PLACE = re.compile(
    rf"^(?P<file>.*?\.(?:{ENDINGS}))(?:#(?P<key>[\d.]+))?(?:@(?P<first>\d+)\+(?P<count>\d+))?$", re.I | re.S
)
WINDOW = 128  # tokens of a window of running text, and the longest item where the data do not say
RUNNING = 512  # tokens from which an unlabelled document counts as running text
COVERED = 0.95  # share of the documents that the usual size holds whole
LOOK_BACK = 0.25  # share of a window in which a sentence may end it early
CHUNK = 1_000  # documents that are read at a time
WIDE = "。！？．｡।"  # ends of sentences in scripts that may put no space behind them


@dataclass(frozen=True)
class TextPrep:
    """How texts are brought to one shape.

    Args:
        size: tokens of an item, with those that mark its beginning and end.
        tokenizer: its JSON.
        special: its numbers for padding, beginning, end and mask, -1 where there is none.
        dtype: of the stored numbers; `int32` for vocabularies above 65,535.
        rarity: how rare each token is among those learnt from, as `tokens.rarity` writes it; "" where it is not known.
    """

    size: int
    tokenizer: str
    special: tuple[int, ...]
    dtype: Literal["uint16", "int32"] = "uint16"
    rarity: str = ""

    channels = 1
    what = "texts"

    def __post_init__(self) -> None:
        object.__setattr__(self, "special", tuple(self.special))  # JSON brings lists

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, size)."""
        return (1, self.size)

    def reader(self, table: Table) -> Callable[[int], np.ndarray]:
        """What reads an item of the table by its row: (1, size) token numbers, 0 behind its end."""
        own, paths = opened(self.tokenizer), table.items["path"].tolist()

        def read(row: int) -> np.ndarray:
            found = own.encode(said(table.folder, paths[row]), add_special_tokens=False).ids[: self.size - 2]
            if not found:
                raise Unreadable("it holds no word")
            out = np.zeros(self.shape, self.dtype)
            out[0, : len(found) + 2] = [self.special[1], *found, self.special[2]]
            return out

        return read


def place(path: str) -> tuple[str, str, int, int | None]:
    """File, row or line, first character and number of characters (None: to the end) that a path names.

    >>> place("a/train.csv#17.2"), place("book.txt@1200+500")
    (('a/train.csv', '17.2', 0, None), ('book.txt', '', 1200, 500))
    """
    found = PLACE.match(path)
    if found is None:
        return path, "", 0, None
    count = found["count"]
    return found["file"], found["key"] or "", int(found["first"] or 0), None if count is None else int(count)


def said(folder: Path, path: str) -> str:
    """What an item says.

    Raises:
        Unreadable: with the reason in words.
    """
    file, key, first, count = place(path)
    if key or Path(file).suffix.lower() in text.TABLES:  # the cells of a whole table, labels among them, are no text
        found = text.rows(folder / file).get(key)
        if found is None:
            raise Unreadable(f"there is no row {key} in it" if key else "it is a table, and no row of it is named")
        if found.fault:
            raise Unreadable(found.fault)
        whole = found.text
    else:
        whole = text.whole(folder / file)
    part = whole[first : None if count is None else first + count]
    return text.checked(part)


def readable(table: Table) -> tuple[Table, list[str]]:
    """The items that can be read, the others named as broken, and what they say."""
    texts, broken = [], []
    with bar("reading texts", len(table)) as shown:
        for path in table.items["path"].tolist():
            try:
                texts.append(said(table.folder, path))
            except Unreadable as fault:
                broken.append(Broken(path, str(fault)))
            shown.advance(1)
    return table.without(tuple(broken)), texts


def ready(table: Table, size: int, tokenizer: str) -> tuple[Table, TextPrep]:
    """Read all texts, train the tokenizer on those outside the test split, and cut: a table and how to store it.

    Args:
        table: one row a document, split.
        size: tokens of an item; 0 takes what holds 95 of 100 documents, 16 to 128, and 128 for running text.
        tokenizer: as `tokens.made` reads it.

    Raises:
        UserError: when no text can be read.
    """
    whole, texts = readable(table)
    if not texts:
        first = whole.broken[0] if whole.broken else None
        reason = f" ({first.path}: {first.reason})" if first else ""
        raise UserError(f"none of the {len(table):,} texts in {table.root} can be read{reason}", "check the files")
    learn = whole.items["split"].ne("test").to_numpy()
    known = [t for t, on in zip(texts, learn, strict=True) if on] or texts
    words, special = made(tokenizer, known)
    dtype: Literal["uint16", "int32"] = "uint16" if opened(words).get_vocab_size() <= 65_536 else "int32"
    prep = TextPrep(WINDOW, words, special, dtype, rarity(words, known))
    lengths = counted(prep, texts)
    running = bool((lengths[learn & whole.items["label"].isna().to_numpy()] > RUNNING).any())
    usual = int(np.quantile(lengths[learn] if learn.any() else lengths, COVERED)) + 2
    prep = replace(prep, size=size or (WINDOW if running else min(WINDOW, max(16, -(-usual // 8) * 8))))
    if prep.size < 4:
        raise UserError(f"texts of {prep.size} tokens were asked for", "give a --size of 4 or more")
    return cut(whole, texts, lengths, prep), prep


def again(table: Table, prep: TextPrep) -> Table:
    """A table of documents, cut as an earlier run has cut its own."""
    whole, texts = readable(table)
    return cut(whole, texts, counted(prep, texts), prep)


def counted(prep: TextPrep, texts: list[str]) -> np.ndarray:
    """Tokens of each text, without those that mark its beginning and end (N,) int64."""
    own, out = opened(prep.tokenizer), []
    for at in range(0, len(texts), CHUNK):
        out += [len(e.ids) for e in own.encode_batch_fast(texts[at : at + CHUNK], add_special_tokens=False)]
    return np.array(out, np.int64)


def cut(table: Table, texts: list[str], lengths: np.ndarray, prep: TextPrep) -> Table:
    """A table in which unlabelled documents that are too long are windows of consecutive words, each document a group.

    Args:
        table: one row a document.
        texts: what they say.
        lengths: in tokens.
        prep: how they will be stored.
    """
    room, own = prep.size - 2, opened(prep.tokenizer)
    long = table.items["label"].isna().to_numpy() & (lengths > room)
    if not long.any():
        return table
    rows: list[dict[Hashable, object]] = []
    for item, said_, parted in zip(table.items.astype(object).to_dict("records"), texts, long.tolist(), strict=True):
        if not parted or "@" in item["path"].rpartition(".")[2]:
            rows.append(item)
            continue
        group = item["group"] if isinstance(item["group"], str) else item["path"]
        offsets = own.encode(said_, add_special_tokens=False).offsets
        for first, end in windows(said_, offsets, room):
            rows.append(item | {"path": f"{item['path']}@{first}+{end - first}", "group": group})
    items = pd.DataFrame(rows, columns=list(table.items.columns)).astype("str")
    return replace(table, items=items, form=f"{table.form}, windows of {prep.size} tokens")


def windows(said_: str, offsets: list[tuple[int, int]], room: int) -> Iterator[tuple[int, int]]:
    """Consecutive parts of a text, in characters, of at most `room` tokens each, which end with a sentence where one
    ends in their last quarter, else with a word, else with a letter.

    Args:
        said_: the text.
        offsets: characters of its tokens.
        room: tokens of a part.
    """
    start = 0
    while start < len(offsets):
        # read by itself, what begins within a word may take a token more: the space that words begin with
        end = min(start + room - int(start > 0 and not _apart(said_, offsets, start)), len(offsets))
        if end < len(offsets):
            least = max(start, end - max(1, int(LOOK_BACK * room)))
            whole = [i for i in range(end, least, -1) if offsets[i][0] >= offsets[i - 1][1]]
            words = [i for i in whole if _apart(said_, offsets, i)]
            stops = [i for i in words if said_[offsets[i - 1][1] - 1] in ".!?\n"]
            stops += [i for i in whole if said_[offsets[i - 1][1] - 1] in WIDE]
            end = max(stops or words or whole or [end])
        first, last = offsets[start][0], offsets[end - 1][1]
        if said_[first:last].strip():
            yield first, last
        start = end


def _apart(said_: str, offsets: list[tuple[int, int]], i: int) -> bool:
    """Whether a space parts token i from the one before it."""
    return said_[offsets[i][0]].isspace() or offsets[i][0] > offsets[i - 1][1] or said_[offsets[i - 1][1] - 1].isspace()
