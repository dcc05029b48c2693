"""What the pages and docstrings show is run; pages made from the source are as the source is now."""

import contextlib
import doctest
import fnmatch
import importlib
import importlib.util
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest

import unlabeled
from unlabeled import catalog, cli, config

REPO = Path(__file__).resolve().parents[1]
SOURCE = REPO / "src"
PAGES = sorted([*REPO.glob("*.md"), *(REPO / "docs").glob("*.md")])
SNIPPET = re.compile(r"^```(python|console) run\n(.*?)^```$", re.DOTALL | re.MULTILINE)
MODULES = sorted(
    ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for p in (SOURCE / "unlabeled").rglob("*.py")
    if p.name != "__main__.py" and re.search(r"^ *>>> ", p.read_text("utf-8"), re.MULTILINE)
)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)


@pytest.fixture
def photos(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder: `photos/` with 120 digits to learn from and 60 to test on, in an otherwise empty place."""
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 12), ("test", 6)):
        for folder in sorted((digits / split).iterdir()):
            place = Path("photos") / split / folder.name
            place.mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:count]:
                shutil.copy(picture, place)
    shutil.copy(REPO / "examples" / "turns.py", ".")
    return Path("photos")


def run_console(text: str) -> None:
    """Run the commands after `$`; under one stands what it prints, with `*` for anything and `...` for any lines."""
    for block in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = block.partition("\n")
        words = shlex.split(command, comments=True)
        assert words[0] == "unlabeled"
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert cli.run(words[1:]) == 0, command
        if expected.strip():
            pattern = expected.strip().replace("[", "[[]").replace("...", "*")
            assert fnmatch.fnmatchcase(printed.getvalue().strip(), pattern), f"{command} printed\n{printed.getvalue()}"


@pytest.mark.parametrize("page", [p for p in PAGES if SNIPPET.search(p.read_text("utf-8"))], ids=lambda p: p.name)
def test_snippets_run(page: Path, photos: Path) -> None:
    names: dict[str, object] = {"photos": photos}
    for kind, text in SNIPPET.findall(page.read_text("utf-8")):
        if kind == "console":
            run_console(text)
        else:
            exec(compile(text, str(page), "exec"), names)


@each_page
def test_every_command_that_is_shown_fits_its_verb(page: Path) -> None:
    """Also those that are not run: verb, flags and values are checked."""
    shown = re.findall(r"^\$ (?:python3 -m uv run |\.venv/bin/)?(unlabeled .*)$", page.read_text("utf-8"), re.MULTILINE)
    for command in shown:
        words = shlex.split(command.replace("turns.py", str(REPO / "examples/turns.py")), comments=True)
        if words[1].startswith("-") or "--config" in words:
            continue
        verb = cli.Verb(words[1])
        context = verb.make_context(words[1], words[2:])
        typed = {k: v for k, v in context.params.items() if v is not None}
        verb.signature.arguments(verb.signature.take(typed, str))


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#][^)]*)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            file, _, anchor = target.partition("#")
            path = page.parent / file
            assert path.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
                assert anchor in {h.lower().replace(" ", "-").replace("`", "") for h in headings}, target


@pytest.mark.parametrize("path", sorted((REPO / "studies").glob("*.yaml")), ids=lambda p: p.name)
def test_every_study_on_file_is_one_that_compare_takes(path: Path) -> None:
    signature = config.Signature("compare", lambda role: None)
    taken = signature.take(config.read(path), lambda name: f'"{name}" in {path.name}')
    taken.setdefault("data", "photos")
    arguments = signature.arguments(taken)
    for method in arguments["methods"]:
        settings = {k: v for k, v in method.items() if k != "encoder"} if isinstance(method, dict) else method
        assert catalog.parse("methods", settings)


@pytest.mark.parametrize("name", ["methods.md", "write-a-method.md"])
def test_pages_made_from_the_source_are_fresh(name: str) -> None:
    spec = importlib.util.spec_from_file_location("make_docs", REPO / "docs" / "make.py")
    assert spec and spec.loader
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    fresh = (REPO / "docs" / name).read_text("utf-8") == make.pages()[name]
    assert fresh, f"docs/{name} is stale; run: python docs/make.py"


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path / "cache"))
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_page_on_protocols_names_them_all() -> None:
    text = (REPO / "docs" / "protocols.md").read_text("utf-8")
    assert all(f"| `{name}` |" in text for name in catalog.names("protocols"))


def test_the_example_method_is_a_method() -> None:
    entry = catalog.entry("methods", str(REPO / "examples" / "turns.py"))
    assert entry.facts["family"] == "predictive"
    assert len((REPO / "examples" / "turns.py").read_text("utf-8").splitlines()) <= 60


def test_the_newest_change_is_this_version() -> None:
    text = (REPO / "CHANGELOG.md").read_text("utf-8")
    versions = re.findall(r"^## (\S+)", text, re.MULTILINE)
    assert versions[0] == unlabeled.__version__
