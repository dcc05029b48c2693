"""A folder is a catalog, a file is one thing, and the file's name is the word that the user types.

Names, first docstring lines and constructor signatures are read from the source text with `ast`, so that listing a
folder, printing `--help` and checking a configuration import nothing. `load` imports the one file that is used.
"""

import ast
import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from unlabeled import values
from unlabeled.errors import UserError

ROOT = Path(__file__).parent
NOUNS = {
    "explain": "explainer",
    "ood": "detector",
    "anomaly": "detector",
    "data/kinds": "kind of item",
}  # fmt: skip  (folders that are not named after a thing)
REQUIRED = object()
OWN = "_unlabeled_user_"  # how the names of modules begin that are users' own files
USUAL_ENCODER = "resnet18"  # of a method that names none, for pictures
USUAL_ENCODERS = {
    "image": USUAL_ENCODER,
    "series": "tcn",
    "audio": "cnn(stages=3,side=16,grid=4)",
    "text": "bert",
}


@dataclass(frozen=True)
class Parameter:
    """One setting of a thing: a keyword-only argument of its constructor (or any argument of a verb)."""

    name: str
    annotation: str
    default: Any  # REQUIRED where there is none
    help: str = ""
    positional: bool = False


@dataclass(frozen=True)
class Entry:
    """What a catalog knows of one thing without importing it."""

    folder: str
    name: str
    summary: str
    doc: str
    parameters: tuple[Parameter, ...]
    facts: Mapping[str, Any]  # class attributes with literal values: modalities, family, ...

    @property
    def encoder(self) -> str:
        """The encoder that a method takes for pictures, or for the first of its modalities, unless another is given."""
        return self.encoder_for(next(iter(self.facts.get("modalities", ("image",)))))

    def encoder_for(self, modality: str, usual: str = "") -> str:
        """The encoder that a method takes for items of a modality unless another is given: its own, else what is usual
        for such data, else for the modality.
        """
        own = self.facts.get("default_encoder", {})
        if not isinstance(own, Mapping):
            return str(own)
        return str(own.get(modality) or usual or USUAL_ENCODERS.get(modality, USUAL_ENCODER))


@dataclass(frozen=True)
class Spec:
    """A thing by name with the settings that differ from its defaults: `simclr(temperature=0.5)`."""

    name: str
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        return values.call(self.name, self.settings)


def names(folder: str) -> list[str]:
    """List the things in a catalog folder, alphabetically.

    >>> "simclr" in names("methods")
    True
    """
    return sorted(p.stem for p in (ROOT / folder).glob("*.py") if not p.name.startswith("_"))


def entry(folder: str, name: str) -> Entry:
    """Read one thing's summary, settings and facts from its source text.

    Args:
        folder: catalog folder, such as `methods`.
        name: a name in it, or a path to a user's own `.py` file.

    Raises:
        UserError: when there is no such thing; the message names the nearest one.
    """
    path = locate(folder, name)
    return _entry(folder, name, path, path.stat().st_mtime_ns)


def locate(folder: str, name: str) -> Path:
    """The file behind a name; a path to a user's own file works the same."""
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise UserError(f"cannot find {name}", "check the path of your own file")
        return path
    path = ROOT / folder / f"{name}.py"
    if name.startswith("_") or not path.is_file():
        known = names(folder)
        near = difflib.get_close_matches(name, known, n=1)
        one = singular(folder)
        if near:
            raise UserError(f'there is no {one} "{name}"', f'did you mean "{near[0]}"')
        raise UserError(f'there is no {one} "{name}"', f"take one of {', '.join(known)}, or the path of a .py file")
    return path


def singular(folder: str) -> str:
    """The word for one thing of a folder.

    >>> singular("methods"), singular("modalities"), singular("explain")
    ('method', 'modality', 'explainer')
    """
    if folder in NOUNS:
        return NOUNS[folder]
    return folder.removesuffix("ies") + "y" if folder.endswith("ies") else folder.removesuffix("s")


def load(folder: str, name: str) -> Any:
    """Import one thing's file and return the class or function that it is about."""
    path = locate(folder, name)
    attribute = _subject(_tree(path), path).name
    if name.endswith(".py"):
        state = hashlib.sha256(str(path.resolve()).encode() + path.read_bytes()).hexdigest()
        key = f"{OWN}{path.stem}_{state[:12]}"
        if key not in sys.modules:
            spec = importlib.util.spec_from_file_location(key, path)
            if spec is None or spec.loader is None:
                raise UserError(f"cannot import {name}", "give a Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[key] = module
            try:
                spec.loader.exec_module(module)
            except BaseException as error:
                del sys.modules[key]  # half of it would be found at the next call
                if not isinstance(error, Exception) or isinstance(error, UserError):
                    raise
                raise UserError(f"{name} cannot be imported: {_where(error, path)}", "mend that file") from error
        return getattr(sys.modules[key], attribute)
    return getattr(importlib.import_module(f"unlabeled.{folder.replace('/', '.')}.{name}"), attribute)


def _where(error: Exception, path: Path) -> str:
    """An exception in one line, with the last line of the file that led to it."""
    here = os.path.abspath(path)  # noqa: PTH100 (as import names a file: whole, links as they are)
    lines = [at for frame, at in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == here]
    told = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return f"line {lines[-1]}: {told}" if lines else told


def wording(name: str) -> str:
    """A short code of what a user's own file says, comments and layout aside; empty for a name of the catalog."""
    if not name.endswith(".py"):
        return ""
    return hashlib.sha256(ast.dump(_tree(locate("", name))).encode()).hexdigest()[:16]


def read_spec(text: str | Mapping[str, Any] | Spec) -> Spec:
    """Read `name`, `name(key=value, ...)` or a mapping with `name` and settings; names and values are not checked.

    Raises:
        UserError: when it cannot be read so, or a setting stands twice.

    >>> read_spec("vit(width=256)")
    Spec(name='vit', settings={'width': 256})
    """
    if isinstance(text, Spec):
        return text
    if isinstance(text, Mapping):
        if "name" not in text:
            raise UserError(f"settings without a name were given: {dict(text)}", 'add "name: ..."')
        return Spec(str(text["name"]), {str(k): v for k, v in text.items() if k != "name"})
    if not isinstance(text, str):
        raise UserError(f"{text!r} was given where a name belongs", 'write one such as "simclr(temperature=0.5)"')
    if "(" not in text or text.endswith(".py"):
        return Spec(text.strip(), {})
    name, _, inner = text.partition("(")
    name = name.strip()
    try:
        call = ast.parse(f"f({inner}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not isinstance(call.func, ast.Name):
            raise ValueError
        if len({k.arg for k in call.keywords}) < len(call.keywords):
            raise UserError(f'a setting stands twice in "{text}"', "keep the one that counts")
        return Spec(name, {str(k.arg): _typed(k.value) for k in call.keywords})
    except (SyntaxError, ValueError):
        raise UserError(f'cannot read "{text}"', f'write it as "{name}(setting=value, other=value)"') from None


def _typed(value: ast.expr) -> Any:
    """A setting as it was typed: a literal, or a bare word (`true`, `resnet18`), which stays text."""
    return value.id if isinstance(value, ast.Name) else ast.literal_eval(value)


def parse(folder: str, text: str | Mapping[str, Any] | Spec) -> Spec:
    """Read a thing with its settings, and check the settings' names and values.

    >>> str(parse("methods", {"name": "simclr", "temperature": "0.5"}))
    'simclr(temperature=0.5)'
    """
    spec = read_spec(text)
    thing = entry(folder, spec.name)
    check(thing, spec.settings)
    annotations = {p.name: p.annotation for p in thing.parameters}
    return Spec(
        spec.name, {k: values.read(annotations[k], v, f'"{k}" of {spec.name}') for k, v in spec.settings.items()}
    )


def check(thing: Entry, settings: Mapping[str, Any]) -> None:
    """Refuse settings that the thing does not have, naming the nearest that it has."""
    known = [p.name for p in thing.parameters]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            remedy = f'did you mean "{near[0]}"' if near else f"it has {', '.join(known) or 'none'}"
            raise UserError(f'"{thing.name}" has no setting "{key}"', remedy)


def split_specs(text: str) -> list[str]:
    """Split `a,b(x=1,y=2),c` at the commas outside parentheses."""
    return values.split(text)


@cache
def _entry(folder: str, name: str, path: Path, changed: int) -> Entry:
    tree = _tree(path)
    subject = _subject(tree, path)
    doc = ast.get_docstring(subject) or ast.get_docstring(tree) or ""
    facts: dict[str, Any] = {}
    if isinstance(subject, ast.ClassDef):
        found = [n for n in subject.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
        function: ast.FunctionDef | None = found[0] if found else None
        if function is not None:
            doc += "\n" + (ast.get_docstring(function) or "")
        for node in subject.body:
            target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target = node.targets[0]
            if isinstance(target, ast.Name) and isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                try:
                    facts[target.id] = ast.literal_eval(node.value)
                except ValueError:
                    continue
    else:
        function = subject
    parameters = _parameters(function, doc, isinstance(subject, ast.ClassDef)) if function else ()
    summary = next((line.strip() for line in doc.splitlines() if line.strip()), "")
    return Entry(folder, name, summary, doc, parameters, facts)


def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} as Python: {error}", "mend that line") from None


def _subject(tree: ast.Module, path: Path) -> ast.ClassDef | ast.FunctionDef:
    """The class or function that a file is about: the one with its name, else the last public class, else function."""
    public = [n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and not n.name.startswith("_")]
    named = [n for n in public if n.name.lower() == path.stem.replace("_", "").lower()]
    if not public:
        raise UserError(
            f"{path.name} defines no public class or function", "define the one thing that the file is named after"
        )
    return (named or [n for n in public if isinstance(n, ast.ClassDef)] or public)[-1]


def _parameters(function: ast.FunctionDef, doc: str, keyword_only: bool) -> tuple[Parameter, ...]:
    out = []
    args = function.args
    defaults = [None] * (len(args.args) - len(args.defaults)) + list(args.defaults)
    pairs: list[tuple[ast.arg, ast.expr | None, bool]] = []
    if not keyword_only:
        pairs += [(a, d, True) for a, d in zip(args.args, defaults, strict=True)]
    pairs += [(a, d, False) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    for arg, default, positional in pairs:
        annotation = ast.unparse(arg.annotation) if arg.annotation else "str"
        value: Any = REQUIRED
        if default is not None:
            try:
                value = ast.literal_eval(default)
            except ValueError:
                value = ast.unparse(default)  # a group of settings such as Budget()
        out.append(Parameter(arg.arg, annotation, value, _argument_help(doc, arg.arg), positional))
    return tuple(out)


def _argument_help(doc: str, name: str) -> str:
    """The text after `name:` in the docstring's `Args:` part, continued lines joined."""
    lines = doc.splitlines()
    for i, line in enumerate(lines):
        if line.strip().startswith(f"{name}:"):
            text = [line.strip().removeprefix(f"{name}:").strip()]
            indent = len(line) - len(line.lstrip())
            for more in lines[i + 1 :]:
                if not more.strip() or len(more) - len(more.lstrip()) <= indent:
                    break
                text.append(more.strip())
            return " ".join(text)
    return ""
