"""Names, summaries and settings are read from source text; specs and values are checked in words."""

from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlabeled import catalog, values
from unlabeled.errors import UserError

MINE = '''"""A method of my own."""

from unlabeled.methods import Method


class Helper:
    """Not what the file is about."""


class Mine(Method):
    """Guess the colour of the sky.

    Args:
        encoder: gives features (B, D).
        width: length of the projected vectors,
            over two lines.
    """

    modalities = ("image", "audio")
    family = "predictive"

    def __init__(self, encoder, *, width: int = 64, mode: str = "soft") -> None:
        super().__init__()
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


def test_a_users_own_file_is_read_without_being_imported(mine: str) -> None:
    entry = catalog.entry("methods", mine)
    assert entry.summary == "Guess the colour of the sky."
    assert entry.facts == {"modalities": ("image", "audio"), "family": "predictive"}
    assert [(p.name, p.annotation, p.default) for p in entry.parameters] == [
        ("width", "int", 64),
        ("mode", "str", "soft"),
    ]
    assert entry.parameters[0].help == "length of the projected vectors, over two lines."


def test_a_file_that_was_changed_is_read_and_imported_anew(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("def two(*, a: int = 1):\n    'First.'\n    return a\n")
    assert catalog.entry("methods", str(path)).summary == "First."
    assert catalog.load("methods", str(path))() == 1
    path.write_text("def two(*, a: int = 22):\n    'Second.'\n    return a\n")
    assert catalog.entry("methods", str(path)).summary == "Second."
    assert catalog.load("methods", str(path))() == 22


@pytest.mark.parametrize("folder", ["methods", "encoders", "arms", "protocols", "modalities", "verbs"])
def test_every_thing_in_a_catalog_explains_itself(folder: str) -> None:
    assert catalog.names(folder)
    for name in catalog.names(folder):
        entry = catalog.entry(folder, name)
        assert entry.summary.endswith("."), f"{name}: no sentence at the top of its docstring"
        for parameter in entry.parameters:
            group = parameter.annotation in ("Budget", "Training", "Augmentation", "Setup")
            assert parameter.help or group, f"{name}: nothing in Args about {parameter.name}"
            assert parameter.annotation, f"{name}: {parameter.name} has no annotation"


@pytest.mark.parametrize("folder", ["methods", "encoders", "modalities"])
def test_load_gives_what_the_file_is_about(folder: str) -> None:
    """The last public name of a file, so helpers stand above it."""
    bases = {"methods": "Method", "encoders": "Encoder", "modalities": "Modality"}
    for name in catalog.names(folder):
        assert bases[folder] in [base.__name__ for base in catalog.load(folder, name).__mro__], name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("simclr", "simclr"),
        (" simclr ", "simclr"),
        ("simclr()", "simclr"),
        ("simclr(width=64, temperature=0.5)", "simclr(temperature=0.5, width=64)"),
        ("mae(normalise=false)", "mae(normalise=False)"),
        ({"name": "simclr", "temperature": "5e-1"}, "simclr(temperature=0.5)"),
        (catalog.Spec("simclr", {"width": 64}), "simclr(width=64)"),
    ],
)
def test_spec(text: Any, expected: str) -> None:
    spec = catalog.parse("methods", text)
    assert str(spec) == expected
    assert catalog.parse("methods", str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("simclar", 'there is no method "simclar"; did you mean "simclr".'),
        ("simclr(temprature=1)", '"simclr" has no setting "temprature"; did you mean "temperature".'),
        ("simclr(width=0.5)", '"width" of simclr got 0.5; give a whole number, such as 3.'),
        ("simclr(0.5)", 'cannot read "simclr(0.5)"; write it as "simclr(setting=value, other=value)".'),
        ("simclr(width=64", 'cannot read "simclr(width=64"; write it as "simclr(setting=value, other=value)".'),
        ({"temperature": 1}, "settings without a name were given: {'temperature': 1}; add \"name: ...\"."),
        ("nowhere.py", "cannot find nowhere.py; check the path of your own file."),
    ],
)
def test_mistakes_in_a_spec_are_told_in_one_line(text: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        catalog.parse("methods", text)
    assert str(caught.value) == words


def test_files_that_cannot_be_read_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("class Broken(\n")
    with pytest.raises(UserError, match=r"cannot read .*broken\.py as Python: .* line 1"):
        catalog.entry("methods", str(path))
    path.write_text("x = 1\n")
    with pytest.raises(UserError, match="defines no public class or function"):
        catalog.entry("methods", str(path))


@pytest.mark.parametrize(
    ("annotation", "raw", "expected"),
    [
        ("int", "3", 3),
        ("int", 3.0, 3),
        ("float", "1e-3", 1e-3),
        ("float | None", "none", None),
        ("float | None", None, None),
        ("str | None", "x", "x"),
        ("bool", "yes", True),
        ("bool", False, False),
        ("Path", "a/b", Path("a/b")),
        ("Literal['a', 'b']", "b", "b"),
        ("Literal[1, 2]", "2", 2),
        ("list[str]", "simclr(a=1,b=2),mae", ["simclr(a=1,b=2)", "mae"]),
        (
            "Sequence[str | dict[str, Any]]",
            [{"name": "mae", "depth": 2}, "simclr"],
            [{"name": "mae", "depth": 2}, "simclr"],
        ),
        ("list[str]", [{"name": "mae", "depth": 2}, "simclr"], ["mae(depth=2)", "simclr"]),
        ("tuple[float, ...]", [1, "0.5"], (1.0, 0.5)),
        ("tuple[float, ...]", 0.5, (0.5,)),
        ("tuple[int, str]", "3,x", (3, "x")),
        ("Sequence[float]", "", []),
    ],
)
def test_values(annotation: str, raw: Any, expected: Any) -> None:
    found = values.read(annotation, raw, "--x")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "raw", "words"),
    [
        ("int", "ten", "--x got 'ten'; give a whole number, such as 3."),
        ("int", True, "--x got True; give a whole number, such as 3."),
        ("float", "nan", "--x got 'nan'; give a number, such as 0.5."),
        ("float | None", "half", "--x got 'half'; give a number, such as 0.5."),
        ("bool", "perhaps", "--x got 'perhaps'; give true or false."),
        ("str", ["a"], "--x got ['a']; give one word."),
        ("Literal['adam', 'sgd']", "adm", '--x got "adm"; did you mean "adam".'),
        ("Literal['adam', 'sgd']", "q", '--x got "q"; take one of adam, sgd.'),
        ("tuple[int, int]", "1,2,3", "--x got 3 values; give 2, separated by commas."),
        ("tuple[float, ...]", "0.1,much", "--x got 'much'; give a number, such as 0.5."),
    ],
)
def test_values_that_do_not_fit(annotation: str, raw: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        values.read(annotation, raw, "--x")
    assert str(caught.value) == words


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,6}", fullmatch=True).filter(lambda k: not iskeyword(k)),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    )
)
def test_what_is_written_reads_back(settings: dict[str, Any]) -> None:
    spec = catalog.Spec("thing", settings)
    assert catalog.read_spec(str(spec)) == spec


@given(st.lists(st.sampled_from(["a", "b(x=1)", "c(x=(1, 2), y=[3, 4])"]), max_size=5))
def test_split_is_the_inverse_of_joining(parts: list[str]) -> None:
    assert values.split(",".join(parts)) == parts


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("dose [mg],sex", ["dose [mg]", "sex"]), ("[dose [mg],sex]", ["dose [mg]", "sex"]), ("study[v2]", ["study[v2]"])],
)
def test_a_name_that_ends_in_a_bracket_keeps_it(raw: str, expected: list[str]) -> None:
    assert list(values.read("Sequence[str]", raw, "--by")) == expected


@pytest.mark.parametrize("number", [2**53 + 1, 12345678901234567891, -(2**60) - 1])
def test_whole_numbers_of_many_digits_stay_what_they_are(number: int) -> None:
    assert values.read("int", str(number), "--seed") == values.read("int", number, "--seed") == number
    assert values.read("int", "1e3", "--steps") == 1000
    with pytest.raises(UserError, match="--seed got '--3'"):
        values.read("int", "--3", "--seed")


def test_a_file_that_fails_halfway_fails_again_and_then_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a notebook: what is missing is installed, and the same call is made again."""
    path = tmp_path / "lacking.py"
    path.write_text('import torch\n\nimport what_is_not_there_yet\n\n\nclass Lacking:\n    """Is here."""\n')
    monkeypatch.chdir(tmp_path)
    for name in (str(path), str(path), "lacking.py"):
        with pytest.raises(UserError, match=r"lacking\.py cannot be imported: line 3: .*what_is_not_there_yet"):
            catalog.load("methods", name)
    (tmp_path / "what_is_not_there_yet.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert catalog.load("methods", str(path)).__doc__ == "Is here."


def test_functions_below_the_class_are_not_what_a_file_is_about(tmp_path: Path) -> None:
    path = tmp_path / "skies.py"
    path.write_text(MINE + '\n\ndef slower(x: int) -> int:\n    """A help to the method."""\n    return x\n')
    assert catalog.entry("methods", str(path)).summary == "Guess the colour of the sky."
    assert catalog.load("methods", str(path)).__name__ == "Mine"


@pytest.mark.parametrize("name", catalog.names("methods"))
def test_a_method_says_that_it_serves_what_there_is(name: str) -> None:
    assert set(catalog.entry("methods", name).facts.get("modalities", ("image",))) <= set(catalog.names("modalities"))
