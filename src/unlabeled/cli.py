"""The command line: each file in `verbs/` is a subcommand, its signature the flags, its docstring the help.

Nothing but click is imported before the verb itself runs. Results go to stdout, everything else to stderr. Exit
code 2 is a mistake that the user can mend, 1 a bug, 130 a stop by Ctrl-C, 143 by SIGTERM, 129 by a closed terminal.
"""

import errno
import inspect
import os
import re
import shlex
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import click

import unlabeled
from unlabeled import catalog, config, stop, values
from unlabeled.errors import UserError
from unlabeled.progress import in_line

WAY = """\
unlabeled {version}: from much data and few labels to a model that can be trusted.

  look at the data         unlabeled scan photos/
  learn without labels     unlabeled pretrain photos/ --method simclr
  measure with few labels  unlabeled evaluate RUN photos/ --labels 0.1
  use what was learnt      unlabeled embed RUN photos/ -o features.parquet
  is it worth it at all?   unlabeled compare photos/ --methods simclr,mae --minutes 30

All verbs: unlabeled --help    One of them: unlabeled compare --help
No data at hand? Type: unlabeled demo"""

HEADING = re.compile(r"^(Args|Attributes|Returns|Raises|Examples?|References?):\s*$")
METAVARS: Mapping[str, str] = {
    "int": "N",
    "float": "X",
    "Path": "PATH",
    "list": "A,B,...",
    "tuple": "X,Y,...",
    "Sequence": "A,B,...",
}
PLACES = (  # what is wrong with a path that was given
    errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG
)  # fmt: skip
SHORT: Mapping[str, str] = {"out": "-o", "output": "-o", "count": "-n"}


class Verbs(click.Group):
    """The catalog folder `verbs/` as subcommands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return catalog.names("verbs")

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        return Verb(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except stop.Stopped as error:
            if error.number == signal.SIGINT:
                raise
            raise click.exceptions.Exit(error.code) from error  # click would end the line where ^C stands


class Option(click.Option):
    """An option that knows under which heading it stands; its value stays as typed, `config` checks it."""

    def __init__(self, flag: config.Flag) -> None:
        parameter = flag.parameter
        dashed = parameter.name.replace("_", "-")
        kind, words = values.kind(parameter.annotation), values.choices(parameter.annotation)
        names = [SHORT[parameter.name]] if parameter.name in SHORT else []
        names.append(f"--{dashed}/--no-{dashed}" if kind == "bool" else f"--{dashed}")
        metavar = "|".join(words) if words else METAVARS.get(kind, "TEXT")
        super().__init__(
            [*names, parameter.name], default=None, help=_help(parameter), metavar=None if kind == "bool" else metavar
        )
        self.section = flag.section


class Verb(click.Command):
    """One verb, read from its file's text; the verb's module is imported when it runs and not before."""

    def __init__(self, name: str) -> None:
        entry = catalog.entry("verbs", name)
        parts = _parts(entry.doc)
        example = "\n".join(line for part in ("Example", "Examples") for line in parts.get(part, []))
        super().__init__(name, help="\n".join(parts[""]), short_help=entry.summary.rstrip("."))
        self.example = inspect.cleandoc(example)
        self.file: dict[str, Any] = {}
        self.origin = ""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self.origin = _peek(args, "config") or ""
        self.file = config.read(Path(self.origin)) if self.origin else {}
        self.signature = config.Signature(ctx.info_name or "", lambda role: _peek(args, role) or self.file.get(role))
        self.params = []
        for flag in self.signature.flags.values():
            if flag.parameter.positional and not flag.owner:
                name = flag.parameter.name
                required = flag.parameter.default is catalog.REQUIRED
                shown = name.upper() if required else f"[{name.upper()}]"
                self.params.append(click.Argument([name], required=False, metavar=shown))
            else:
                self.params.append(Option(flag))
        self.params.append(
            click.Option(["--config"], metavar="FILE", help="YAML file with the same names; flags win over it.")
        )
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> None:
        typed = {name: value for name, value in ctx.params.items() if value is not None and name != "config"}
        given = self.signature.take(self.file, lambda name: f'"{name}" in {self.origin}')
        given |= self.signature.take(typed, self._shown)
        arguments = self.signature.arguments(given)
        result = catalog.load("verbs", self.signature.verb.name)(**arguments)
        if os.environ.get("RANK", "0") == "0":
            for line in result.lines():
                click.echo(in_line(line))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        given = [f.parameter for f in self.signature.flags.values() if f.parameter.positional and not f.owner]
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [(p.name.upper(), _help(p)) for p in given]}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(record)
        for heading, rows in sections.items():
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.example:
            with formatter.section("Example"):
                for line in self.example.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def _shown(self, name: str) -> str:
        flag = self.signature.flags[name]
        return name.upper() if flag.parameter.positional and not flag.owner else f"--{name.replace('_', '-')}"


@click.group(cls=Verbs, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(unlabeled.__version__, message="unlabeled %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Learn from data without labels, see which method is worth it on your data, keep a model that can be trusted."""
    if ctx.invoked_subcommand is None:
        click.echo(WAY.format(version=unlabeled.__version__))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    sys.excepthook = crash
    stop.listen()
    sys.exit(run(list(sys.argv[1:] if argv is None else argv)))


def run(argv: list[str]) -> int:
    """Run one command; everything that a user can mend becomes one line on stderr.

    Returns:
        the exit code.
    """
    command = _started(argv)
    try:
        code = cli.main(argv, prog_name="unlabeled", standalone_mode=False)
    except UserError as error:
        return _tell(str(error), 2)
    except click.exceptions.NoSuchOption as error:
        verb = error.ctx.info_name if error.ctx else ""
        near = (
            f"did you mean {sorted(error.possibilities)[0]}"
            if error.possibilities
            else f'see "unlabeled {verb} --help"'
        )
        return _tell(f'"{verb}" has no option {error.option_name}; {near}.', 2)
    except click.ClickException as error:
        return _tell(error.format_message(), 2)
    except (KeyboardInterrupt, click.Abort):
        return _left(command, 130)
    except BrokenPipeError:  # the reader of stdout has left, as in `unlabeled methods | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        path = error.filename2 or error.filename
        if error.errno in PLACES and path:
            return _tell(f"cannot use {path}: {error.strerror}; give another path, or mend this one.", 2)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" while writing {error.filename}" if error.filename else ""
        return _tell(f"the disk is full{where}; free some space, then run the same again: {command}", 1)
    return _left(command, code) if code else 0


def crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell a bug in one line and put the whole traceback into a file; where it came by a user's own file, name its
    last line.
    """
    if issubclass(kind, KeyboardInterrupt):  # again, while it was about to leave
        _tell("stopped", 130)
        return
    text = "".join(traceback.format_exception(kind, error, trace))
    path = Path(tempfile.gettempdir()) / f"unlabeled-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    head = f"{shlex.join(sys.argv)}\nunlabeled {unlabeled.__version__}, Python {sys.version}\n\n"
    try:
        path.write_text(head + text, "utf-8")
    except OSError:
        sys.stderr.write(text)
        return
    frames = [(at, frame) for frame, at in traceback.walk_tb(trace) if _is_own(str(frame.f_globals.get("__name__")))]
    what = f"line {frames[-1][0]} of {frames[-1][1].f_code.co_filename} led to" if frames else "a bug stopped this:"
    _tell(f"{what} {kind.__name__}: {' '.join(str(error).split())[:300]}; the traceback is in {path}", 1)


def _left(command: str, code: int) -> int:
    if os.environ.get("RANK", "0") == "0":  # the first of several processes says it
        _tell(f"stopped; to go on from here, run the same again: {command}", code)
    return code


def _started(argv: Sequence[str]) -> str:
    """The command that has started this; of several processes on one machine the one that starts them all."""
    several = os.environ.get("WORLD_SIZE", "1")
    if several != "1" and several == os.environ.get("LOCAL_WORLD_SIZE"):
        return shlex.join(["torchrun", "--nproc-per-node", several, "-m", "unlabeled", *argv])
    return shlex.join(["unlabeled", *argv])


def _is_own(module: str) -> bool:
    return module.startswith(catalog.OWN)


def _tell(text: str, code: int) -> int:
    click.echo(f"unlabeled: {in_line(text)}", err=True)
    return code


def _peek(args: Sequence[str], name: str) -> str | None:
    """What `--name value` or `--name=value` gives, before click reads the arguments; the last one counts."""
    found = None
    for i, arg in enumerate(args):
        if arg == f"--{name}" and i + 1 < len(args):
            found = args[i + 1]
        elif arg.startswith(f"--{name}="):
            found = arg.partition("=")[2]
    return found


def _help(parameter: catalog.Parameter) -> str:
    default = parameter.default
    if default is catalog.REQUIRED:
        note = "" if parameter.positional else " [needed]"
    elif default is None or default is False or default in ("", ()):
        note = ""
    else:
        shown = ",".join(map(str, default)) if isinstance(default, list | tuple) else default
        note = f" [default: {f'{shown:.3g}' if isinstance(shown, float) else shown}]"
    return parameter.help.rstrip(".") + note


def _parts(doc: str) -> dict[str, list[str]]:
    """A docstring's parts by heading; the part before the first heading is ""."""
    parts: dict[str, list[str]] = {"": []}
    part = ""
    for line in inspect.cleandoc(doc).splitlines():
        if heading := HEADING.match(line):
            part = heading.group(1)
        elif line.startswith(">>>"):
            part = ">>>"
        else:
            parts.setdefault(part, []).append(line)
            continue
        parts.setdefault(part, [])
    return parts
