"""The command line: flags from signatures, files with the same names, and one line for whatever goes wrong."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import unlabeled as ul
from unlabeled import catalog, cli, config, progress
from unlabeled.settings import Budget, Training

SOURCE = Path(cli.__file__).parents[1]

VERB = '''
"""A verb that shows what it got."""
from dataclasses import dataclass
from typing import Any, Literal
from unlabeled.settings import Budget, Training


@dataclass
class Got:
    said: dict

    def lines(self):
        return [f"{key}={value!r}" for key, value in self.said.items()]


def show(
    data: str,
    *,
    method: str | dict[str, Any] = "simclr",
    encoder: str | None = None,
    labels: tuple[float, ...] = (0.1, 1.0),
    fast: bool = False,
    form: Literal["page", "table"] = "page",
    out: str | None = None,
    budget: Budget = Budget(),
    training: Training = Training(),
) -> Got:
    """Show what was given.

    Args:
        data: what to show.
        labels: shares.

    Example:
        unlabeled show x --labels 0.1
    """
    if data == "ctrl-c":
        raise KeyboardInterrupt
    if data == "full":
        raise OSError(28, "No space left on device", "big.bin")
    if data == "wait":
        import sys, time
        sys.stderr.write("waiting\\n"); sys.stderr.flush(); time.sleep(60)
    if data == "bug":
        raise ValueError("one and\\ntwo")
    return Got({k: v for k, v in locals().items() if v is not None})
'''


@pytest.fixture
def verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A user's own verb, named by its path."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "show.py").write_text(VERB)
    return "show.py"


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, str]:
    assert cli.run(list(argv)) == 0
    return dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())


def refused(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 2) -> str:
    assert cli.run(list(argv)) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    line = shown.err.strip()  # click ends the line on which the terminal shows ^C
    assert line.startswith("unlabeled: ") and "\n" not in line
    return line.removeprefix("unlabeled: ")


def test_defaults_stand_in_the_signature_only(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    got = said(capsys, verb, "x")
    assert got == {
        "data": "'x'", "method": "'simclr'", "labels": "(0.1, 1.0)", "fast": "False", "form": "'page'",
        "budget": repr(Budget()), "training": repr(Training()),
    }  # fmt: skip


def test_flags(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = "x --labels 0.01,20 --fast --form table -o here --epochs 3 --batch-size 32 --lr 1e-3"
    got = said(capsys, verb, *words.split())
    assert got["labels"] == "(0.01, 20.0)"
    assert (got["fast"], got["form"], got["out"]) == ("True", "'table'", "'here'")
    assert got["budget"] == repr(Budget(epochs=3.0))
    assert got["training"] == repr(Training(batch_size=32, lr=1e-3))
    assert said(capsys, verb, "x", "--no-fast")["fast"] == "False"


def test_settings_of_what_was_chosen_are_flags_too(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, verb, "x", "--temperature", "0.5")["method"] == "'simclr(temperature=0.5)'"
    got = said(
        capsys,
        verb,
        "--width",
        "64",
        "x",
        "--method",
        "simclr(temperature=0.5)",
        "--encoder",
        "resnet18",
        "--stem",
        "small",
    )
    assert got["method"] == "'simclr(temperature=0.5, width=64)'"
    assert got["encoder"] == "\"resnet18(stem='small')\""
    assert said(capsys, verb, "x", "--stem=full")["encoder"] == "\"resnet18(stem='full')\"", "the method's own encoder"
    assert "no option --mask-ratio" in refused(capsys, verb, "x", "--mask-ratio", "0.5")
    assert "mask_ratio=0.5" in said(capsys, verb, "x", "--mask-ratio", "0.5", "--method", "mae")["method"]


def test_a_users_own_method_brings_its_flags(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text("class Mine:\n    'Mine.'\n    def __init__(self, encoder, *, beta: float = 0.1): ...\n")
    assert said(capsys, verb, "x", "--method", "mine.py", "--beta", "2")["method"] == "'mine.py(beta=2.0)'"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("show.py", '"show.py" needs DATA'),
        ("show.py x --epoch 3", "did you mean --epochs"),
        ("show.py x --epochs ten", "--epochs got 'ten'; give a number, such as 0.5."),
        ("show.py x --optimizer adm", '--optimizer got "adm"; did you mean "adam".'),
        ("show.py x --method simclr(width=8,width=9)", 'a setting stands twice in "simclr(width=8,width=9)"'),
        ("show.py x --method simclr(width=8)(width=9)", 'cannot read "simclr(width=8)(width=9)"'),
        ("show.py x --temperature hot", "--temperature got 'hot'"),
        ("show.py x --method simclar", 'there is no method "simclar"; did you mean "simclr".'),
        ("show.py x y", "unexpected extra argument"),
        ("pretrian x", 'there is no verb "pretrian"; did you mean "pretrain".'),
        ("show.py x --config nowhere.yaml", "cannot read nowhere.yaml: No such file or directory"),
    ],
)
def test_mistakes_are_one_line(verb: str, capsys: pytest.CaptureFixture[str], argv: str, words: str) -> None:
    assert words in refused(capsys, *argv.split())


def test_a_file_holds_the_same_names_and_flags_win(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("study.yaml").write_text(
        "data: x\nmethod: {name: simclr, temperature: 5e-1}\nwidth: 64\nlabels: [0.1, 20]\nbatch-size: 32\nepochs: 3\n"
        "fast: true\n"
    )
    got = said(capsys, verb, "--config", "study.yaml", "--epochs", "7")
    assert got["data"] == "'x'"
    assert got["method"] == "{'name': 'simclr', 'temperature': '5e-1', 'width': 64}", "a mapping stays one"
    assert (got["labels"], got["fast"]) == ("(0.1, 20.0)", "True")
    assert got["budget"] == repr(Budget(epochs=7.0))
    assert got["training"] == repr(Training(batch_size=32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch: 3", '"epoch" in s.yaml is not a setting of "show.py"; did you mean "epochs".'),
        ("epochs: [1, 2]", '"epochs" in s.yaml got [1, 2]; give a number, such as 0.5.'),
        ("data: 2024-30-06", "cannot read s.yaml: month must be in 1..12; mend that line of the YAML."),
        ("epochs: 3\nepochs: 5", '"epochs" stands twice in s.yaml; keep the one that counts.'),
        ("method:\n  name: simclr\n  width: 8\n  width: 9", '"width" stands twice in s.yaml'),
        ("batch_size: 8\nbatch-size: 9", '"batch-size" in s.yaml is given twice, with - and with _'),
        ("method: [simclr]", "['simclr'] was given where a name belongs"),
        ("encoder: 18", "18 was given where a name belongs"),
        ("device: off", '"device" in s.yaml got False; give one word, in quotes if it is yes, no, on or off.'),
        (f"epochs: {'9' * 400}", '"epochs" in s.yaml got 999'),
        ("just words", "s.yaml does not hold names with values"),
        ("a: [1", "cannot read s.yaml: while parsing"),
    ],
)
def test_mistakes_in_a_file_are_one_line(verb: str, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    Path("s.yaml").write_text(text)
    assert words in refused(capsys, verb, "x", "--config", "s.yaml")


@pytest.mark.parametrize("name", ["call.yaml", "call.json"])
def test_what_is_dumped_repeats_the_call(verb: str, capsys: pytest.CaptureFixture[str], name: str) -> None:
    call: dict[str, Any] = {
        "data": Path("some/where"),
        "method": catalog.Spec("simclr", {"temperature": 0.5}),
        "labels": (0.01, 1.0),
        "budget": Budget(steps=12),
        "training": Training(lr=3e-4, optimizer="lars"),
    }
    path = Path("deep") / name
    config.dump(call, path)
    got = said(capsys, verb, "--config", str(path))
    assert got["data"] == "'some/where'"
    assert got["method"] == "'simclr(temperature=0.5)'"
    assert got["labels"] == "(0.01, 1.0)"
    assert got["budget"] == repr(call["budget"])
    assert got["training"] == repr(call["training"])
    assert [p.name for p in path.parent.iterdir()] == [name], "nothing is left beside it"


def test_ctrl_c_says_how_to_go_on(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = refused(capsys, verb, "ctrl-c", "--epochs", "3", code=130)
    assert words.endswith("run the same again: unlabeled show.py ctrl-c --epochs 3")


def test_ctrl_c_in_a_real_process(verb: str) -> None:
    command = [sys.executable, "-m", "unlabeled", verb, "wait"]
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # what is started with nohup hands on to ignore it
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True)
    signal.signal(signal.SIGINT, before)
    with child:
        assert child.stderr is not None
        assert child.stderr.readline() == "waiting\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        assert "stopped; to go on from here" in child.stderr.read()
    assert child.returncode == 130


def test_a_full_disk_is_one_line(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = refused(capsys, verb, "full", code=1)
    assert words.startswith("the disk is full while writing big.bin; free some space")


def test_a_place_that_cannot_be_written_to_is_one_line(
    verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "answer.json").write_text('{"sentence": "a: b"}')
    (tmp_path / "there").mkdir()
    words = {
        tmp_path / "there": "Is a directory",
        tmp_path / "show.py" / "page.html": "File exists",
        tmp_path / f"{'long' * 80}.html": "File name too long",
    }
    for out, why in words.items():
        told = refused(capsys, "report", str(tmp_path / "study"), "-o", str(out))
        assert told.startswith(f"cannot use {tmp_path}") and f": {why}; give another path" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["show.py", "study", "there"]


def test_a_bug_is_one_line_and_a_file(verb: str, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "unlabeled", verb, "bug"], capture_output=True, text=True, env=env)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "ValueError: one and two" in done.stderr
    log = Path(done.stderr.split("the traceback is in ")[1].strip())
    assert "Traceback" in log.read_text()
    assert "show.py bug" in log.read_text()


def test_a_bug_of_a_users_own_file_is_told_by_its_line(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    [line] = [i + 1 for i, text in enumerate(Path(verb).read_text().splitlines()) if "raise ValueError" in text]
    own = f"line {line} of {Path(verb).absolute()} led to"
    for run, what in ((lambda: cli.run([verb, "bug"]), own), (lambda: 1 / 0, "a bug")):
        with pytest.raises((ValueError, ZeroDivisionError)) as caught:
            run()
        cli.crash(caught.type, caught.value, caught.tb)
        assert capsys.readouterr().err.startswith(f"unlabeled: {what}")


def test_alone_it_shows_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([]) == 0
    shown = capsys.readouterr().out
    assert "unlabeled demo" in shown
    named = {line.split("unlabeled ")[1].split()[0] for line in shown.splitlines()[1:] if "unlabeled " in line}
    assert {n for n in named if not n.startswith("-")} <= set(catalog.names("verbs"))


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out == f"unlabeled {ul.__version__}\n"


@pytest.mark.parametrize("name", catalog.names("verbs"))
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([name, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = shown.split("Example:\n")[1].splitlines()
    assert any(line.strip().startswith(f"unlabeled {name}") for line in examples)
    for flag in config.Signature(name, lambda role: None).flags.values():
        assert flag.parameter.help, f"{name}: nothing is said about {flag.parameter.name}"


@pytest.mark.parametrize("name", catalog.names("verbs"))
def test_the_examples_in_the_help_are_calls_that_fit(name: str) -> None:
    examples = [
        line.split() for line in catalog.entry("verbs", name).doc.splitlines() if line.strip().startswith("unlabeled ")
    ]
    for words in examples:
        verb = cli.Verb(words[1])
        context = verb.make_context(words[1], words[2:])
        typed = {k: v for k, v in context.params.items() if v is not None and k != "config"}
        assert verb.signature.arguments(verb.signature.take(typed, str))


def test_the_verbs_are_attributes_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert {*catalog.names("verbs"), "UserError"} <= set(dir(ul))
    from unlabeled.methods import Method  # a folder with the name of a verb

    assert ul.methods().lines() and Method is not None
    assert cli.run(["methods"]) == 0
    assert capsys.readouterr().out.splitlines() == ul.methods().lines()
    with pytest.raises(AttributeError, match="no attribute 'pretrian'"):
        ul.pretrian  # type: ignore[attr-defined] # noqa: B018


def test_methods_lists_every_method_in_one_line() -> None:
    lines = ul.methods().lines()
    for name in catalog.names("methods"):
        assert sum(line.split()[:1] == [name] for line in lines) == 1
    alone = "\n".join(ul.methods("simclr").lines())
    assert all(
        f"--{p.name}" in alone and str(p.default) in alone for p in catalog.entry("methods", "simclr").parameters
    )
    with pytest.raises(ul.UserError, match="did you mean"):
        ul.methods("simclar")


def test_progress_in_a_log_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.bar("training", 100, start=20) as bar:
        for _ in range(80):
            clock[0] += 0.5
            bar.advance(note="loss 0.31")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "training  50/100  2.0/s  25 s left  loss 0.31"
    assert len(lines) == 2


def test_progress_is_silent_when_asked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_QUIET", "1")
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    with progress.bar("training", 2) as bar:
        bar.advance()
        progress.say("a word")
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_keeps_lines_and_bar_apart() -> None:
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    script = (
        "from unlabeled import progress\n"
        "with progress.bar('a [b]', 2) as bar:\n    bar.advance(note='loss [1]')\n    progress.say('kept [c]')"
    )
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "TERM": "xterm", "COLUMNS": "100"}
    subprocess.run([sys.executable, "-c", script], stderr=follower, env=env, check=True)
    shown = os.read(leader, 65536).decode()
    os.close(leader), os.close(follower)
    assert "a [b]" in shown and "1/2" in shown and "loss [1]" in shown
    assert "kept [c]\r\n" in shown


def test_names_from_data_stay_on_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A class may be named by two lines, or by what clears a screen."""

    class Said:
        def lines(self) -> list[str]:
            return ["  two\nlines\r and \x1b[2J\u2028more", "next"]

    monkeypatch.setattr(catalog, "load", lambda folder, name: lambda **given: Said())
    assert cli.run(["methods"]) == 0
    assert capsys.readouterr().out == "  two lines  and  [2J more\nnext\n"
    progress.say("of two\nlines")
    assert capsys.readouterr().err == "of two lines\n"
