"""Times of tables: as they were meant, in whatever century."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unlabeled.formats import recording


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_of_any_century_keep_their_order(tmp_path: Path, suffix: str) -> None:
    """Dates of patients are moved by centuries, so that nobody is known by them."""
    at = np.array(["2262-04-11T23:00", "2262-04-12T00:00", "2262-04-12T01:00"], "datetime64[s]")
    table, file = pd.DataFrame({"time": at, "x": [1.0, 2.0, 3.0]}), tmp_path / f"far.{suffix}"
    if suffix == "csv":
        table.to_csv(file, index=False)
    else:
        table.to_parquet(file)
    found = recording.read(file)[""]
    assert found.times is not None and np.diff(found.times).tolist() == [3600, 3600]
    assert found.values.tolist() == [[1, 2, 3]]
