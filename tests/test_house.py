"""The bounds of docs/design.md, checked over the source tree."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
SOURCE = REPO / "src" / "unlabeled"
FILES = sorted(SOURCE.rglob("*.py"))
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

GROUPS = {n.name for n in ast.parse((SOURCE / "settings.py").read_text("utf-8")).body if isinstance(n, ast.ClassDef)}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))


def floors() -> dict[str, int]:
    """Floor of each part, as the design page lists them: `2. `data` (table, scan) · `modalities` (image)`."""
    found = {}
    text = (REPO / "docs" / "design.md").read_text("utf-8")
    for line in re.sub(r"\n   (?=\S)", " ", text).splitlines():  # a long floor goes on, indented, on the next line
        if numbered := re.match(r"(\d+)\. `", line):
            found |= {name: int(numbered.group(1)) for name in re.findall(r"`(\w+)`", line)}
    return found


def part(module: str) -> str:
    """`unlabeled.data.table` belongs to the part `data`."""
    return module.partition(".")[2].partition(".")[0]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every import from this package, of modules and of names in them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                (node.lineno, alias.name) for alias in node.names if part(alias.name) or alias.name == "unlabeled"
            )
        elif isinstance(node, ast.ImportFrom) and node.module == "unlabeled":
            yield from ((node.lineno, f"unlabeled.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


def functions(tree: ast.Module) -> Iterator[tuple[str, FUNCTION]]:
    """Public functions and the public methods and constructors of public classes."""
    for node in tree.body:
        if isinstance(node, FUNCTION) and not node.name.startswith("_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for inner in node.body:
                if isinstance(inner, FUNCTION) and (inner.name == "__init__" or not inner.name.startswith("_")):
                    yield f"{node.name}.{inner.name}", inner


def test_every_part_has_a_floor() -> None:
    there = {
        p.stem if p.is_file() else p.name
        for p in SOURCE.iterdir()
        if p.suffix == ".py" or (p / "__init__.py").is_file()
    }
    assert {p for p in there if not p.startswith("__")} <= floors().keys()


@each_file
def test_imports_run_downward(path: Path) -> None:
    floor = floors()
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if own.startswith("__"):
        return  # the package's face and `python -m`
    wrong = [
        f"line {line}: {name}"
        for line, name in imports(ast.parse(path.read_text("utf-8")))
        if name.startswith("unlabeled.") and not part(name).startswith("__") and floor.get(part(name), 99) > floor[own]
    ]
    assert not wrong, f"{own} stands on floor {floor[own]} and reaches up"


@each_file
def test_parts_that_verbs_are_named_after_are_not_imported_as_names(path: Path) -> None:
    """`from unlabeled import methods` gives the verb, not the folder."""
    verbs = {p.stem for p in (SOURCE / "verbs").glob("*.py")}
    if path == SOURCE / "__init__.py":
        return
    tree = ast.parse(path.read_text("utf-8"))
    names = [
        a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.module == "unlabeled" for a in n.names
    ]
    assert not verbs & set(names)


@each_file
def test_files_are_short(path: Path) -> None:
    bound = 100 if path.parent.name == "methods" and not path.name.startswith("_") else 400
    assert len(path.read_text("utf-8").splitlines()) <= bound


@each_file
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@each_file
def test_public_signatures(path: Path) -> None:
    for name, function in functions(ast.parse(path.read_text("utf-8"))):
        args = function.args
        every = [a for a in (*args.posonlyargs, *args.args, *args.kwonlyargs) if a.arg not in ("self", "cls")]
        own = [a.arg for a in every if not (a.annotation and ast.unparse(a.annotation) in GROUPS)]
        bound = 12 if name.endswith("__init__") else 8  # a constructor's keyword-only arguments are its settings
        assert len(own) <= bound, f"{name} takes {len(own)} arguments"
        assert args.kwarg is None, f"{name} takes **{args.kwarg and args.kwarg.arg}"


@each_file
def test_public_things_are_documented(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    bare = [n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name[0] != "_" and not ast.get_docstring(n)]
    bare += [name for name, f in functions(tree) if "." not in name and not ast.get_docstring(f)]
    assert not bare


@each_file
def test_no_mutable_state_in_modules(path: Path) -> None:
    """A table is fine when its name is in capitals and nothing in its file writes into it."""
    tree = ast.parse(path.read_text("utf-8"))
    assert not [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Global)]
    tables = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and _mutable(node.value):
            name = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            assert name.isupper() or name == "__all__", f"line {node.lineno}: {name}"
            tables.add(name)
    assert not [f"line {line}: {name}" for line, name in _written(tree) if name in tables]


def _written(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name wherever something is put into, or taken out of, a thing."""
    ways = {"append", "extend", "insert", "pop", "popitem", "remove", "clear", "update", "setdefault", "add", "discard"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            yield node.lineno, ast.unparse(node.value)
        elif isinstance(node, ast.AugAssign):
            yield node.lineno, ast.unparse(node.target)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ways:
            yield node.lineno, ast.unparse(node.func.value)


def _mutable(value: ast.expr) -> bool:
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    makers = ("list", "dict", "set", "bytearray", "defaultdict", "OrderedDict", "Counter", "deque")
    return isinstance(value, displays) or (
        isinstance(value, ast.Call) and ast.unparse(value.func).split(".")[-1] in makers
    )


@each_file
def test_what_no_file_contains(path: Path) -> None:
    text = path.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        where = f"line {getattr(node, 'lineno', 0)}"
        assert not isinstance(node, ast.Assert), f"{where}: assert; raise UserError, or let it fail"
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            on = isinstance(node.body[-1], ast.Raise)  # tidies up and lets it go on
            assert on or caught not in ("everything", "Exception", "BaseException"), f"{where}: catches {caught}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
            assert path.name == "cli.py", f"{where}: print"
        if isinstance(node, ast.Raise) and node.exc is not None:
            assert "NotImplementedError" not in ast.unparse(node.exc), f"{where}: half a contract"
    assert not re.search(r"\b(TODO|FIXME|XXX)\b", text)


def test_help_and_errors_import_nothing_heavy() -> None:
    """Neither torch nor anything else that takes a second: the command line answers at once."""
    script = """
import sys
import unlabeled, unlabeled.config, unlabeled.progress, unlabeled.settings
from unlabeled import catalog, cli
for verb in ("", *catalog.names("verbs")):
    assert cli.run([*verb.split(), "--help"]) == 0
assert cli.run(["methods"]) == 0
assert cli.run(["pretrain", "--methd", "simclr"]) == 2
for folder in ("methods", "encoders", "arms", "protocols", "modalities"):
    for name in catalog.names(folder):
        catalog.entry(folder, name)
heavy = {"torch", "torchvision", "timm", "numpy", "pandas", "sklearn", "scipy", "PIL", "plotly", "rich"}
sys.exit(f"imported {sorted(heavy & sys.modules.keys())}" if heavy & sys.modules.keys() else 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=SOURCE.parent)
    assert done.returncode == 0, done.stderr


def test_the_package_alone_imports_next_to_nothing() -> None:
    script = (
        "import sys, unlabeled; print(sorted(m for m in sys.modules if m.startswith(('unlabeled.', 'torch', 'click'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=SOURCE.parent)
    assert done.stdout.strip() == "[]"
