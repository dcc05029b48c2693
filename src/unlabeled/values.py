"""From what a person typed, or a file holds, to the value that an annotation asks for."""

import ast
import difflib
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from unlabeled.errors import UserError

MAPPINGS = ("dict", "Mapping")
LISTS = ("list", "tuple", "Sequence", "Iterable", "set", "frozenset")
LONGEST = 100  # bytes of a name in a file's name, which holds two of them at most and takes 255
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def read(annotation: str, raw: Any, what: str) -> Any:
    """Turn a raw value (text from the command line; text, number, list or mapping from a file) into the annotated kind.

    Args:
        annotation: as it stands in a signature: `int`, `float | None`, `tuple[float, ...]`, `Path`, ...
        raw: what was given.
        what: its name in the message, such as `--epochs`.

    Raises:
        UserError: when it does not fit.

    >>> read("tuple[float, ...]", "0.01,0.1,1", "--labels")
    (0.01, 0.1, 1.0)
    >>> read("float | None", "1e-3", "--lr")
    0.001
    """
    return _read(ast.parse(annotation, mode="eval").body, raw, what)


def choices(annotation: str) -> tuple[str, ...]:
    """The words that a `Literal` allows, empty for everything else.

    >>> choices("Literal['cosine', 'constant'] | None")
    ('cosine', 'constant')
    """
    node = ast.parse(annotation, mode="eval").body
    return tuple(str(c) for n in _members(node) for c in _literal(n))


def kind(annotation: str) -> str:
    """The annotation's main name without `None`: `float | None` is a `float`, `list[str]` a `list`."""
    return _name(_members(ast.parse(annotation, mode="eval").body)[0])


def call(name: str, settings: Mapping[str, Any]) -> str:
    """Write a thing with its settings as a person would: `simclr(temperature=0.5)`."""
    inner = ", ".join(f"{key}={value!r}" for key, value in sorted(settings.items()))
    return f"{name}({inner})" if inner else name


def split(text: str) -> list[str]:
    """Split `a,b(x=1,y=2),c` at the commas outside parentheses.

    >>> split("simclr(temperature=0.5, width=64),mae")
    ['simclr(temperature=0.5, width=64)', 'mae']
    """
    parts, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return [p for p in [*parts, text[start:].strip()] if p]


def safe(name: str) -> str:
    """A name as files bear it: all but letters, digits, dot, underscore and dash replaced, and a long one cut, with a
    code of the whole behind it.

    >>> safe("random[vit]")
    'random_vit_'
    """
    text = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    if len(text.encode()) <= LONGEST:
        return text
    code = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{text.encode()[: LONGEST - 9].decode(errors='ignore')}_{code}"


def title(place: str | Path) -> str:
    """What a folder or a file is called: a folder by its whole name but for `.ul`, a file without its ending.

    >>> title("tables/wards.csv"), title("models/v1.2.ul")
    ('wards', 'v1.2')
    """
    path = Path(place).resolve()
    return path.name.removesuffix(".ul") if path.is_dir() else path.stem


def several(given: Any) -> list[Any]:
    """What was given for a setting that takes several, as a list: one alone, or a text as it is typed, will do too.

    >>> several("simclr,mae(mask_ratio=0.6)"), several(0.1), several({"name": "mae"})
    (['simclr', 'mae(mask_ratio=0.6)'], [0.1], [{'name': 'mae'}])
    """
    if hasattr(given, "tolist"):  # an array
        given = given.tolist()
    if isinstance(given, str):
        return split(given)
    return [given] if isinstance(given, Mapping) or not isinstance(given, Iterable) else list(given)


def numbers(given: Any, what: str) -> list[float]:
    """The same, of numbers.

    Raises:
        UserError: when one of them is none.

    >>> numbers("0.01,1", "--labels"), numbers(20, "--labels")
    ([0.01, 1.0], [20.0])
    """
    return [_real(one.item() if hasattr(one, "item") else one, what) for one in several(given)]


def _read(node: ast.expr, raw: Any, what: str) -> Any:
    members = _members(node)
    if len(members) > 1 or _is_none(node) or isinstance(node, ast.BinOp):
        return _union(node, members, raw, what)
    if options := _literal(node):
        return _choice(options, raw, what)
    if isinstance(node, ast.Subscript):
        return _list(_name(node), node.slice, raw, what) if _name(node) in LISTS else raw
    reader = _READERS.get(_name(node))
    return reader(raw, what) if reader else raw


def _union(node: ast.expr, members: list[ast.expr], raw: Any, what: str) -> Any:
    optional = any(_is_none(n) for n in ast.walk(node) if isinstance(n, ast.expr))
    if optional and (raw is None or (isinstance(raw, str) and raw.lower() in ("none", "null"))):
        return None
    if isinstance(raw, Mapping) and any(_name(member) in MAPPINGS for member in members):
        return dict(raw)
    for member in members[:-1]:
        try:
            return _read(member, raw, what)
        except UserError:
            continue
    return _read(members[-1], raw, what)


def _members(node: ast.expr) -> list[ast.expr]:
    """The parts of `A | B | None` other than None."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_members(node.left), *_members(node.right)]
    return [] if _is_none(node) else [node]


def _name(node: ast.expr) -> str:
    """`dict` of `dict[str, Any]`, `Path` of `pathlib.Path`."""
    return ast.unparse(node.value if isinstance(node, ast.Subscript) else node).rpartition(".")[2]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _literal(node: ast.expr) -> list[Any]:
    if not isinstance(node, ast.Subscript) or _name(node) != "Literal":
        return []
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [ast.literal_eval(e) for e in inner]


def _choice(options: list[Any], raw: Any, what: str) -> Any:
    for option in options:
        if raw == option or str(raw) == str(option):
            return option
    words = [str(o) for o in options]
    near = difflib.get_close_matches(str(raw), words, n=1)
    raise UserError(f'{what} got "{raw}"', f'did you mean "{near[0]}"' if near else f"take one of {', '.join(words)}")


def _list(name: str, inner: ast.expr, raw: Any, what: str) -> Any:
    kinds = [e for e in (inner.elts if isinstance(inner, ast.Tuple) else [inner]) if ast.unparse(e) != "..."]
    if isinstance(raw, str):
        text = raw.strip()
        found: list[Any] = list(split(text[1:-1] if text.startswith("[") and text.endswith("]") else text))
    elif isinstance(raw, list | tuple):
        found = list(raw)
    else:
        found = [raw]
    if len(kinds) > 1 and len(found) != len(kinds):
        raise UserError(f"{what} got {len(found)} values", f"give {len(kinds)}, separated by commas")
    read_all = [_read(kinds[i % len(kinds)], item, what) for i, item in enumerate(found)]
    return tuple(read_all) if name == "tuple" else read_all


def _whole(raw: Any, what: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and re.fullmatch(r"[+-]?\d+", raw.strip()):
        return int(raw)  # a float would round what has more than 15 digits
    number = _number(raw, what, "a whole number, such as 3")
    if number != int(number):
        raise _misfit(raw, what, "a whole number, such as 3")
    return int(number)


def _real(raw: Any, what: str) -> float:
    return _number(raw, what, "a number, such as 0.5")


def _number(raw: Any, what: str, wanted: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise _misfit(raw, what, wanted)
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        raise _misfit(raw, what, wanted) from None
    if number != number or abs(number) == float("inf"):
        raise _misfit(raw, what, wanted)
    return number


def _truth(raw: Any, what: str) -> bool:
    word = str(raw).lower()
    if word not in (*TRUE, *FALSE):
        raise _misfit(raw, what, "true or false")
    return word in TRUE


def _text(raw: Any, what: str) -> str:
    if isinstance(raw, Mapping) and "name" in raw:
        return call(str(raw["name"]), {str(k): v for k, v in raw.items() if k != "name"})
    if isinstance(raw, Mapping | list | tuple | None):
        raise _misfit(raw, what, "one word")
    if isinstance(raw, bool):  # YAML's reading of yes, no, on and off
        raise _misfit(raw, what, "one word, in quotes if it is yes, no, on or off")
    return str(raw)


def _path(raw: Any, what: str) -> Path:
    return Path(_text(raw, what))


def _misfit(raw: Any, what: str, wanted: str) -> UserError:
    return UserError(f"{what} got {raw!r}", f"give {wanted}")


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "int": _whole,
    "float": _real,
    "bool": _truth,
    "str": _text,
    "Path": _path,
}
