"""What a person reads of a model: counts that are grammar, and what its promises rest on."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from unlabeled.deploy.parts import Units
from unlabeled.verbs.drift import Drifted
from unlabeled.verbs.predict import Predicted
from unlabeled.verbs.serve import Served


def test_one_item_is_no_items() -> None:
    lines = Predicted(Path("a.csv"), 1, {}, 1, 1, (), 0, pd.DataFrame()).lines()
    assert lines[:2] == [
        "1 item: none answered",
        "no answer on 1, of which 1 is unlike anything that was learnt from",
    ]
    names = ("strangers", "confidence", "features", "classes")
    checks = [SimpleNamespace(name=n, now=0, reference=0, p=1) for n in names]
    quiet = SimpleNamespace(alarm=False, sentence="", classes={"a": (0.5, 0.5)}, checks=checks)
    assert "1 item cannot be read." in Drifted(Path(), quiet, 1, Path()).lines()  # type: ignore[arg-type]
    assert Served(1, 1).lines() == ["1 request answered, 1 item computed"]


@pytest.mark.parametrize(("groups", "items", "said"), [(5, 60, True), (9, 60, False), (5, 8, False), (60, 60, False)])
def test_many_calibration_items_of_few_groups_are_minded(groups: int, items: int, said: bool) -> None:
    """Few items have a note of their own, which says more."""
    units = Units("data", np.arange(items) % groups)
    notes = units.notes(SimpleNamespace(), np.arange(items), 9)  # type: ignore[arg-type]
    assert [f"{items} calibration items are of {groups} groups" in note for note in notes] == [True] * said
    assert Units("none").notes(SimpleNamespace(), np.arange(60), 9) == []  # type: ignore[arg-type]
