"""The signatures are the configuration: from a verb's signature to flags, and from flags or a file to its arguments.

A config file is YAML with the same flat names as the flags. Groups of settings (`Budget`, `Training`, ...) are
written by their fields, and so are the settings of the method or encoder that was chosen.
"""

import dataclasses
import difflib
import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unlabeled import catalog, settings, values
from unlabeled.errors import UserError

ROLES = ("method", "encoder")  # arguments that name a thing whose own settings may be given beside it


@dataclasses.dataclass(frozen=True)
class Flag:
    """One name that a user may set.

    Args:
        parameter: its name, kind, default and help.
        owner: the argument that it is a field of (`training`), the role that it is a setting of (`method`), or "".
        section: the heading under which the help shows it.
    """

    parameter: catalog.Parameter
    owner: str = ""
    section: str = "Options"


class Signature:
    """Everything that can be set in one call of a verb.

    Args:
        verb: its name.
        given: tells what was given for `method` and `encoder`, None when nothing; their own settings can then be set as
            well. Of two that have the same name the verb's own wins, then the method's.

    >>> Signature("methods", lambda role: None).arguments({"name": "simclr"})
    {'name': 'simclr'}
    """

    def __init__(self, verb: str, given: Callable[[str], Any]) -> None:
        self.verb = catalog.entry("verbs", verb)
        self.flags: dict[str, Flag] = {}
        for parameter in self.verb.parameters:
            if group := _group(parameter.annotation):
                heading = parameter.name.replace("_", " ").capitalize()
                self.flags |= {f.name: Flag(_parameter(f), parameter.name, heading) for f in dataclasses.fields(group)}
            else:
                self.flags[parameter.name] = Flag(parameter)
        self.chosen: dict[str, catalog.Spec] = {}
        usual: str | None = None
        for role in ROLES:
            flag = self.flags.get(role)
            text = flag and (given(role) or _word(flag.parameter.default) or usual)
            if text:
                if isinstance(text, Mapping) and role == "method":
                    usual = text.get("encoder")
                self.chosen[role] = catalog.read_spec(text)
                thing = _thing(role, self.chosen[role].name)
                usual = usual or (thing.encoder if role == "method" else None)
                for parameter in thing.parameters:
                    self.flags.setdefault(
                        parameter.name, Flag(parameter, role, f"Settings of {self.chosen[role].name}")
                    )

    def take(self, raw: Mapping[str, Any], where: Callable[[str], str]) -> dict[str, Any]:
        """Check names and kinds of what was given, flat.

        Args:
            raw: values as typed or as read from a file.
            where: a name as the message should show it, such as `--epochs` or `"epochs" in study.yaml`.

        Raises:
            UserError: for a name that cannot be set, with the nearest one, and for a value that does not fit.
        """
        taken = {}
        for key, value in raw.items():
            name = key.replace("-", "_")
            if name not in self.flags:
                near = difflib.get_close_matches(name, self.flags, n=1)
                remedy = f'did you mean "{near[0]}"' if near else f'see "unlabeled {self.verb.name} --help"'
                raise UserError(f'{where(key)} is not a setting of "{self.verb.name}"', remedy)
            if name in taken:
                raise UserError(f"{where(key)} is given twice, with - and with _", "keep the one that counts")
            taken[name] = values.read(self.flags[name].parameter.annotation, value, where(key))
        return taken

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Put flat values together as the verb's arguments: fields into groups, settings into `simclr(width=64)`.

        Raises:
            UserError: when a needed argument is missing.
        """
        flat = dict(given)
        for role, spec in self.chosen.items():
            extra = {name: flat.pop(name) for name in given if self.flags[name].owner == role}
            if extra:
                both = {**spec.settings, **extra}
                written = isinstance(flat.get(role), Mapping)
                flat[role] = {"name": spec.name, **both} if written else str(catalog.Spec(spec.name, both))
        out: dict[str, Any] = {}
        for parameter in self.verb.parameters:
            if group := _group(parameter.annotation):
                names = [f.name for f in dataclasses.fields(group) if f.name in flat]
                if names:
                    out[parameter.name] = group(**{name: flat[name] for name in names})
            elif parameter.name in flat:
                out[parameter.name] = flat[parameter.name]
            elif parameter.default is catalog.REQUIRED:
                name = parameter.name.upper() if parameter.positional else f"--{parameter.name.replace('_', '-')}"
                raise UserError(f'"{self.verb.name}" needs {name}', f'see "unlabeled {self.verb.name} --help"')
        return out


def read(path: Path) -> dict[str, Any]:
    """Read a config file, YAML or JSON, with names as the flags have them.

    Raises:
        UserError: when it is not there, does not hold names with values, or holds a name twice.
    """
    import yaml

    try:
        text = path.read_text("utf-8")
        twice = _twice(yaml.compose(text, yaml.SafeLoader))
        content = yaml.safe_load(text)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check the path of the config file") from None
    except (yaml.YAMLError, ValueError) as error:  # a date that is none, or no UTF-8
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}", "mend that line of the YAML") from None
    if twice:
        raise UserError(f'"{twice}" stands twice in {path}', "keep the one that counts")
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold names with values", 'write lines such as "epochs: 100"')
    return {str(key): value for key, value in content.items()}


def _twice(node: Any, seen: frozenset[int] = frozenset()) -> str:
    """The first name that a mapping of a YAML document holds twice, else ""; of two a reader would keep the last."""
    if node is None or isinstance(node.value, str) or id(node) in seen:
        return ""
    names, parts = set[str](), []
    for part in node.value:
        name, inner = part if isinstance(part, tuple) else (None, part)
        if name is not None and isinstance(name.value, str):
            if name.value in names:
                return name.value
            names.add(name.value)
        parts.append(inner)
    return next((name for part in parts if (name := _twice(part, seen | {id(node)}))), "")


def dump(mapping: Mapping[str, Any], path: Path) -> None:
    """Write the file that repeats a call, whole or not at all; groups of settings by their fields, all of them.

    Args:
        mapping: the verb's arguments by name.
        path: ends in `.yaml` or `.json`.
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        flat |= (
            _plain(value)
            if dataclasses.is_dataclass(type(value)) and _group(type(value).__name__)
            else {key: _plain(value)}
        )
    if path.suffix == ".json":
        text = json.dumps(flat, indent=1)
    else:
        import yaml

        text = yaml.safe_dump(flat, sort_keys=False, allow_unicode=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, "utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """The same value in what YAML and JSON have."""
    if isinstance(value, catalog.Spec | os.PathLike):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value.item() if hasattr(value, "item") else value  # numpy's numbers


def _group(annotation: str) -> Any:
    """The dataclass of `settings.py` that an annotation names, else None."""
    found = getattr(settings, annotation.rpartition(".")[2], None)
    return found if isinstance(found, type) and dataclasses.is_dataclass(found) else None


def _parameter(field: "dataclasses.Field[Any]") -> catalog.Parameter:
    kind = field.type if isinstance(field.type, str) else inspect.formatannotation(field.type)
    return catalog.Parameter(field.name, kind, field.default, field.metadata.get("help", ""))


def _word(default: Any) -> str | None:
    return default if isinstance(default, str) else None


def _thing(role: str, name: str) -> catalog.Entry:
    """The catalog's entry; an encoder that the catalog does not have is one of timm's."""
    if role == "encoder" and name not in catalog.names("encoders") and not name.endswith(".py"):
        timm = catalog.entry("encoders", "timm")
        return dataclasses.replace(timm, parameters=tuple(p for p in timm.parameters if p.name != "name"))
    return catalog.entry(f"{role}s", name)
