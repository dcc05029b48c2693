"""How the items of one modality lie on disk and come to one shape: a catalog, one file a modality, named as it is.

`scan` asks the kinds whose a file is, `prepare` has them make items of one shape, the doctor has them look at items.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import pandas as pd

from unlabeled import catalog
from unlabeled.errors import UserError

if TYPE_CHECKING:
    from unlabeled.data.checks import Finding
    from unlabeled.data.store import Preparation, Store
    from unlabeled.data.table import Broken, Table

FOLDER = "data/kinds"
Examined = tuple[list["Finding"], dict[str, Any], tuple["Broken", ...]]


class Kind(ABC):
    """Base of all kinds.

    Attributes:
        what: what such items are called, in the plural.
        own: suffixes of files that are of this kind whatever they hold, in lower case.
        shared: suffixes of files that may be of this kind or of another: `claims` looks into them.
        words: whether a string can be an item by itself.
        first: methods that a newcomer may try first on such items.
        arrays: the name under which an `.npz` file holds such items; "" where arrays of them tell nothing alone.
        learns: whether `ready` learns from what the items say (a vocabulary), so that test items are set apart before.
    """

    what: ClassVar[str]
    own: ClassVar[frozenset[str]] = frozenset()
    shared: ClassVar[frozenset[str]] = frozenset()
    arrays: ClassVar[str] = ""
    learns: ClassVar[bool] = False
    words: ClassVar[bool] = False
    first: ClassVar[tuple[str, ...]] = ("simclr", "mae")

    def told(self, tokenizer: str) -> Self:
        """The same kind with a tokenizer of the user's choice, where items are of words.

        Raises:
            UserError: where they are not.
        """
        raise UserError(f"{self.what} have no tokenizer", "leave --tokenizer away")

    def claims(self, path: Path) -> bool:
        """Whether a file with a shared suffix is of this kind, from its first lines; a list of files is not."""
        return False

    def items(self, items: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, str]:
        """One row an item where files hold several, with the labels and splits that the files tell; and how the data
        lie in words where that tells more than the folders do, else "".
        """
        return items, ""

    @abstractmethod
    def read(self, values: Mapping[str, Any]) -> "Preparation":
        """How items are brought to one shape, from what a run has written down."""

    @abstractmethod
    def ready(self, table: "Table", size: int, stride: int, step: float) -> tuple["Table", "Preparation", int]:
        """The items as they will be stored (long ones may be cut), how, and the size of their views.

        What is learnt from the data for it is learnt from the items outside the test split.

        Args:
            table: one row an item, split.
            size: of the views; 0 takes what suits.
            stride: from one cut to the next; 0 takes what suits.
            step: time between two steps; 0 takes what suits.

        Raises:
            UserError: when nothing can be read.
        """

    def again(self, table: "Table", prep: "Preparation", stride: int = 0, *, keep: bool = False) -> "Table":
        """The items as an earlier run has cut its own; with `keep` what cannot be read stays, to be told later."""
        return table

    def view(self, table: "Table", prep: "Preparation", size: int) -> int:
        """Size of the views of items that an earlier run prepared, where `size` was asked for."""
        return prep.size

    def encoder(self, prep: "Preparation") -> str:
        """The encoder that suits items so prepared where nobody asks for one; empty for the modality's usual one."""
        return ""

    def measure(
        self, store: "Store", rows: np.ndarray, prep: "Preparation"
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of what views show, channel by channel, over rows that may be learnt from."""
        return store.statistics(rows)

    @abstractmethod
    def examine(self, table: "Table", store: "Store | None") -> Examined:
        """What is odd about the items or their stored form, plain facts, and what cannot be read."""


@cache
def kind(modality: str) -> Kind:
    """The kind of a modality's items."""
    made: Kind = catalog.load(FOLDER, modality)()
    return made


def kinds() -> dict[str, Kind]:
    """All kinds by their modality."""
    return {name: kind(name) for name in catalog.names(FOLDER)}


def kind_of(path: Path) -> str | None:
    """The modality of a file: by its suffix where that tells, else by what it holds; nothing where none claims it."""
    suffix = path.suffix.lower()
    for name, each in kinds().items():
        if suffix in each.own:
            return name
    return next((name for name, each in kinds().items() if suffix in each.shared and each.claims(path)), None)
