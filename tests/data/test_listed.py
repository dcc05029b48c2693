"""Tables in a folder that name its files: what they tell, what they leave to the folders, and several of them."""

from pathlib import Path

import pytest
from PIL import Image

from unlabeled.data.scan import scan
from unlabeled.data.table import Table
from unlabeled.errors import UserError


def folder(root: Path, *names: str, **tables: list[str]) -> Path:
    """Empty pictures, and tables by their names with a line each of these."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    for name, lines in tables.items():
        (root / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return root


def told(table: Table) -> dict[str, tuple[str | None, str]]:
    items = table.items.astype(object).where(table.items.notna(), None)
    return {p: (label, split) for p, label, split in zip(items["path"], items["label"], items["split"], strict=True)}


PETS = [f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(4)]
PARTED = [f"{part}/{kind}/{part}{i}.png" for part in ("train", "test") for kind in ("cat", "dog") for i in range(2)]


def test_a_list_of_patients_leaves_the_classes_to_the_folders(tmp_path: Path) -> None:
    lines = [f"{path},p{i // 2}" for i, path in enumerate(PETS)]
    found = scan(folder(tmp_path, *PETS, info=["path,patient", *lines]))
    assert told(found) == {path: (path[:3], "train") for path in PETS}
    assert found.items["group"].nunique() == 4


def test_folders_that_are_the_patients_are_no_classes(tmp_path: Path) -> None:
    paths = [f"{who}/{i}.png" for who in ("anna", "bo", "cy") for i in range(2)]
    found = scan(folder(tmp_path, *paths, info=["path,patient", *(f"{p},{p.split('/')[0]}" for p in paths)]))
    assert found.classes == [] and found.items["group"].nunique() == 3


@pytest.mark.parametrize("all_named", [True, False])
def test_test_folders_stay_what_they_are_whatever_a_list_tells(tmp_path: Path, all_named: bool) -> None:
    """A list of everything that says of no split, and one of the training pictures alone."""
    lines = [f"{path},{path.split('/')[1]},p{i}" for i, path in enumerate(PARTED) if all_named or "train/" in path]
    found = scan(folder(tmp_path, *PARTED, info=["path,label,patient", *lines]))
    assert told(found) == {path: (path.split("/")[1], path.split("/")[0]) for path in PARTED}


def test_test_folders_that_call_classes_otherwise_keep_no_label(tmp_path: Path) -> None:
    lines = [f"{path},{'a' if 'cat' in path else 'b'}" for path in PARTED if "train/" in path]
    found = told(scan(folder(tmp_path, *PARTED, info=["path,label", *lines])))
    assert {found[p] for p in PARTED if "test/" in p} == {(None, "test")}


def test_lists_of_the_splits_are_one(tmp_path: Path) -> None:
    paths = [f"images/{i}.png" for i in range(6)]
    rows = [f"{path},{'ab'[i % 2]}" for i, path in enumerate(paths)]
    found = scan(folder(tmp_path, *paths, test_labels=["path,label", *rows[4:]], train=["path,label", *rows[:4]]))
    assert told(found) == {path: ("ab"[i % 2], "train" if i < 4 else "test") for i, path in enumerate(paths)}
    assert found.form == "manifest test_labels.csv and train.csv" and not found.notes


def test_lists_that_tell_different_things_are_one(tmp_path: Path) -> None:
    paths = [f"images/{i}.png" for i in range(4)]
    sites, labels = [f"{p},s{i}" for i, p in enumerate(paths)], [f"./{p},{'ab'[i % 2]}" for i, p in enumerate(paths)]
    found = scan(folder(tmp_path, *paths, acquisition=["path,site", *sites], labels=["path,label", *labels]))
    assert told(found) == {path: ("ab"[i % 2], "train") for i, path in enumerate(paths)}
    assert found.items["domain"].tolist() == ["s0", "s1", "s2", "s3"]


def test_lists_of_which_one_must_count_are_one_line(tmp_path: Path) -> None:
    rows = [f"{path},x" for path in PETS]
    folder(tmp_path, *PETS, sample_submission=["path,label", *rows], train=["path,label", *rows])
    with pytest.raises(UserError, match=r"holds 2 lists of its files \(sample_submission.csv, train.csv\); join them"):
        scan(tmp_path)
    assert scan(tmp_path / "train.csv").classes == ["x"]


def test_what_predict_wrote_is_no_list_of_labels(tmp_path: Path) -> None:
    head = "path,label,confidence,abstain,why,set,strangeness,p(cat)"
    folder(tmp_path, *PETS, predictions=[head, *(f"{path},dog,0.9,False,,dog,0.1,0.1" for path in PETS)])
    assert told(scan(tmp_path)) == {path: (path[:3], "train") for path in PETS}


def test_an_item_that_is_named_twice_keeps_its_label_and_one_split(tmp_path: Path) -> None:
    folder(
        tmp_path, *PETS, twice=["path,label,split", "cat/0.png,,train", "./cat/0.png,cat,train", "cat/1.png,dog,test"]
    )
    assert told(scan(tmp_path / "twice.csv")) == {"cat/0.png": ("cat", "train"), "cat/1.png": ("dog", "test")}
    for row, what in (("./cat/1.png,dog,train", "splits"), ("./cat/1.png,cat,test", "labels")):
        folder(tmp_path, odd=["path,label,split", "cat/1.png,dog,test", row])
        with pytest.raises(UserError, match=f"odd.csv names cat/1.png with several {what}"):
            scan(tmp_path / "odd.csv")


def test_a_link_that_leads_to_itself_is_a_broken_file(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "good.png")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert set(scan(tmp_path).items["path"]) == {"good.png", "loop.png"}, "and reading it will tell why"
