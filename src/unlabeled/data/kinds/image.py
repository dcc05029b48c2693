"""Pictures: a file each, or rows of an `.npz` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from unlabeled.data import pictures
from unlabeled.data.kinds import Examined, Kind
from unlabeled.data.store import Prep, Preparation, Store, plan
from unlabeled.data.survey import survey
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.formats import arrays, picture


class Image(Kind):
    """Pictures of one size."""

    what: ClassVar[str] = "pictures"
    arrays: ClassVar[str] = "x"
    own: ClassVar[frozenset[str]] = picture.SUFFIXES
    shared: ClassVar[frozenset[str]] = frozenset((".npz",))

    def claims(self, path: Path) -> bool:
        """Whether an array file holds pictures: what names no series does."""
        return not arrays.holds_series(path)

    def items(self, items: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
        """The pictures as they are; array files that hold many are read one at a time, with all their rows.

        Raises:
            UserError: when array files stand where pictures should.
        """
        files = items["path"][items["path"].str.lower().str.endswith(".npz")]
        if len(files):
            one = len(files) == 1
            raise UserError(
                f"{folder} holds {len(files):,} .npz file{'' if one else 's'} of pictures ({files.iloc[0]}"
                f"{'' if one else ', ...'}), and one is read at a time",
                f"give {'that file itself' if one else 'one of them'}, or put all pictures into one file as x_train, "
                "y_train, x_test, y_test",
            )
        return items, ""

    def read(self, values: Mapping[str, Any]) -> Preparation:
        """How pictures are brought to one shape."""
        return Prep(**values)

    def ready(self, table: Table, size: int, stride: int, step: float) -> tuple[Table, Preparation, int]:
        """The pictures, how they are stored, and the side of their views."""
        view = size or suitable_size(table)
        return table, plan(table, view), view

    def view(self, table: Table, prep: Preparation, size: int) -> int:
        """The size that was asked for: pictures may be stored larger than their views."""
        return size or suitable_size(table)

    def examine(self, table: Table, store: Store | None) -> Examined:
        """Sizes and depth, copies, signs that give a class away."""
        return pictures.examine(table, store)


def suitable_size(table: Table) -> int:
    """The pictures' own typical shorter side, rounded up to eights, at least 16 and at most 64 pixels."""
    return min(64, max(16, -(-survey(table, colour=False).side // 8) * 8))
