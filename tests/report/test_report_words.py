"""The small parts of the page: how numbers are written, pictures embedded and curves thinned."""

import doctest
import importlib

import pytest


@pytest.mark.parametrize("name", ["words", "pictures", "plots", "folder"])
def test_examples(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(f"unlabeled.report.{name}"))
    assert tried > 0 and failed == 0
