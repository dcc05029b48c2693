"""Labels as a column of 0 and 1 a class, with one 1 a row, as lists of medical pictures often have them."""

from collections.abc import Collection, Hashable

import pandas as pd

YES, NO = ("1", "1.0", "true"), ("0", "0.0", "false")


def labels(frame: pd.DataFrame, known: Collection[Hashable]) -> "tuple[pd.Series | None, str]":
    """The class of each row, missing where all its cells are; or None, and what keeps the columns from being classes:
    "" where no two hold 0 and 1 alone.

    Args:
        frame: a table of text.
        known: columns that tell something else.
    """
    cells = frame[[c for c in frame if c not in known]].apply(lambda column: column.str.strip().str.lower())
    both = [c for c in cells if cells[c].isin(YES).any() and (cells[c].isna() | cells[c].isin((*YES, *NO))).all()]
    if len(both) < 2:
        return None, ""
    ones = cells[both].isin(YES)
    count, told = ones.sum(axis=1), cells[both].notna().any(axis=1)
    if (bad := told & (count != 1)).any():
        row, names = int(bad.to_numpy().argmax()), ", ".join(map(str, both[:6])) + (", ..." if len(both) > 6 else "")
        many = f"{count.iloc[row]} ones" if count.iloc[row] else "no 1"
        return None, (
            f"columns of 0 and 1 ({names}) are read as classes where each row holds one 1, and "
            f"{bad.sum():,} of {told.sum():,} rows do not, the first of them row {row + 2} with {many}: mend these, "
            'or call the column of labels "label"'
        )
    return ones.idxmax(axis=1).astype("str").where(told), ""
