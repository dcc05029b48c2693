"""Asked to stop, the command line says so in one line, leaves with the code that shells give, keeps what it has."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from unlabeled import cli, stop
from unlabeled.stop import Handler, Stopped, held
from unlabeled.training.halfway import Halfway
from unlabeled.training.journal import Journal
from unlabeled.training.run import Run

if sys.platform == "win32":
    pytest.skip("no such signals there", allow_module_level=True)


@pytest.fixture
def listening() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (*stop.ASKING, signal.SIGALRM)}
    stop.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def at_call(count: int, function: Callable[..., object]) -> Callable[..., object]:
    """The same function, of which the call of this number brings a SIGTERM."""
    calls = []

    def called(*given: object, **named: object) -> object:
        calls.append(given)
        if len(calls) == count:
            send(signal.SIGTERM)
        return function(*given, **named)

    return called


@pytest.mark.usefixtures("listening", "own_cache")
def test_a_training_ends_its_step_and_goes_on_from_there(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", str(digits), "--encoder", "cnn(width=2, stages=1)", "--size", "8", "--steps", "20"]
    words += ["--batch-size", "8", "--threads", "1", "--precision", "fp32", "-o"]
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "observe", at_call(7, Journal.observe))
        assert cli.run([*words, str(tmp_path / "stopped")]) == 143
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1
    said = f"unlabeled: stopped; to go on from here, run the same again: unlabeled pretrain {digits}"
    assert shown.err.startswith(said)
    assert Run.open(tmp_path / "stopped").step == 7
    for name in ("stopped", "whole"):
        assert cli.run([*words, str(tmp_path / name)]) == 0
    one, two = (Run.open(tmp_path / name) for name in ("stopped", "whole"))
    assert [row["loss"] for row in one.metrics()] == [row["loss"] for row in two.metrics()]


@pytest.mark.usefixtures("listening", "own_cache")
def test_a_fit_of_labels_ends_its_step_and_goes_on_from_there(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["pretrain", str(digits), "--encoder", "cnn(width=2, stages=1)", "--size", "8", "--steps", "2"]
    assert cli.run([*words, "--threads", "1", "-o", str(tmp_path / "run")]) == 0
    words = ["finetune", str(tmp_path / "run"), str(digits), "--protocol", "finetune(steps=20, trials=1)"]
    words += ["--threads", "1", "--out", str(tmp_path / "m.ul")]
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(Halfway, "keep", at_call(3, Halfway.keep))
        assert cli.run(words) == 143
    kept = [p.name for p in tmp_path.glob("m.ul*")]
    assert kept == ["m.ul.halfway-0"]


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_what_is_not_held_is_left_at_once(number: int, code: int) -> None:
    with pytest.raises(Stopped) as told:
        send(number)
    assert told.value.code == code


@pytest.mark.usefixtures("listening")
def test_a_step_that_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "PATIENCE", 0.05)
    with pytest.raises(Stopped), held():
        send(signal.SIGTERM)
        time.sleep(20)


@pytest.mark.usefixtures("listening")
def test_who_has_heard_of_it_has_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop, "PATIENCE", 0.2)
    done = []
    with pytest.raises(Stopped), held() as asked:
        assert not asked()
        send(signal.SIGTERM)
        assert asked()
        time.sleep(0.4)
        done.append("written")
    assert done


@pytest.mark.usefixtures("listening")
def test_a_stop_that_is_told_twice_is_one() -> None:
    """As the shell and the kernel both do when a terminal closes."""
    done = []
    with pytest.raises(Stopped), held() as asked:
        send(signal.SIGHUP)
        send(signal.SIGHUP)
        assert asked()
        done.append("written")
    assert done


@pytest.mark.usefixtures("listening")
def test_others_of_a_group_go_on_until_the_first_has_left_them() -> None:
    with pytest.raises(Stopped), held(lead=False) as asked:
        send(signal.SIGTERM)
        assert not asked()
        raise RuntimeError("connection closed by peer")
    with pytest.raises(RuntimeError), held(lead=False):
        raise RuntimeError("a bug")


def test_who_calls_from_python_keeps_their_own() -> None:
    assert not isinstance(signal.getsignal(signal.SIGTERM), Handler)
    with held() as asked:
        assert not asked()


def test_in_a_real_process_and_what_nohup_ignores_stays_so(tmp_path: Path) -> None:
    verb = tmp_path / "wait.py"
    verb.write_text(
        '"""Wait."""\nimport sys, time\n\n\ndef wait():\n    """Wait."""\n'
        '    sys.stderr.write("waiting\\n"); sys.stderr.flush(); time.sleep(60)\n'
    )
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1])}
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-m", "unlabeled", str(verb)], stderr=subprocess.PIPE, text=True, env=env)
    signal.signal(signal.SIGHUP, before)
    with child:
        assert child.stderr is not None
        assert child.stderr.readline() == "waiting\n"
        child.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        told = child.stderr.read()
    assert told == f"unlabeled: stopped; to go on from here, run the same again: unlabeled {verb}\n"
    assert child.returncode == 143


def test_a_terminal_that_has_gone_cannot_be_written_to(tmp_path: Path) -> None:
    """What is said then goes nowhere, and the code is that of the stop."""
    pty = pytest.importorskip("pty")
    script = (
        "import os, sys, time\nfrom unlabeled import cli, progress, stop\nstop.listen()\n"
        "def wait(*_, **__):\n"
        "    try:\n        with progress.bar('b', 9) as bar:\n            bar.advance()\n"
        f"            open({str(tmp_path / 'there')!r}, 'w').close()\n            time.sleep(60)\n"
        "    except stop.Stopped as error:\n        return error.code\n"
        "cli.cli.main = wait\n"
        "sys.exit(cli.run(['x']))\n"
    )
    leader, follower = pty.openpty()
    env = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), "TERM": "xterm"}
    env.pop("UNLABELED_QUIET", None)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves run under nohup
    child = subprocess.Popen([sys.executable, "-c", script], stderr=follower, stdout=follower, env=env)
    signal.signal(signal.SIGHUP, before)
    os.close(follower)
    while not (tmp_path / "there").exists() and child.poll() is None:
        time.sleep(0.05)
    os.close(leader)
    child.send_signal(signal.SIGHUP)
    assert child.wait(60) == 129
