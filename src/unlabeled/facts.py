"""What a file of facts must hold before it is used. Sums tell that a file is as it was written, and not by whom: what
another hand has made or changed may lack something, or have a word where a number belongs.
"""

from collections.abc import Mapping
from typing import Any

WANTED: Mapping[type, str] = {str: "a word", int: "a whole number", float: "a number", bool: "true or false"}
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError)  # what such facts lead to


def odd(value: Any, want: Any, name: str = "it") -> str:
    """What is odd about a value of a JSON file in a few words, or "".

    Args:
        value: that was read.
        want: a type, None, one of several in a tuple, [what each has to be], or the names that must be there.
        name: of the value.

    >>> odd({"name": 3}, {"name": str}), odd({}, {"name": str})
    ('name is 3 where a word belongs', 'name is missing')
    >>> odd({"shape": [1, "x"]}, {"shape": [int]}), odd(2, (float, None))
    ('shape[1] is "x" where a whole number belongs', '')
    """
    if isinstance(want, tuple):
        found = [odd(value, one, name) for one in want]
        return found[0] if all(found) else ""
    if isinstance(want, Mapping):
        if not isinstance(value, Mapping):
            return _wrong(value, "names with values belong", name)
        full = {k: k if name == "it" else f"{name}.{k}" for k in want}
        told = (odd(value[k], want[k], full[k]) if k in value else f"{full[k]} is missing" for k in want)
        return next(filter(None, told), "")
    if isinstance(want, list):
        if not isinstance(value, list):
            return _wrong(value, "a list belongs", name)
        return next(filter(None, (odd(one, want[0], f"{name}[{i}]") for i, one in enumerate(value))), "")
    if want is None:
        return "" if value is None else _wrong(value, "nothing belongs", name)
    fits = isinstance(value, (int, float) if want is float else want) and isinstance(value, bool) == (want is bool)
    return "" if fits else _wrong(value, f"{WANTED[want]} belongs", name)


def why(error: Exception) -> str:
    """An error in a few words.

    >>> why(KeyError("encoder"))
    "KeyError: 'encoder'"
    """
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _wrong(value: Any, what: str, name: str) -> str:
    told = f'"{value}"' if isinstance(value, str) else str(value)
    return f"{name} is {told if len(told) <= 60 else told[:57] + '...'} where {what}"
