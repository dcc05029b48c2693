"""Whose an item is, is found by folders and by tables keyed by patients, and no split parts a patient."""

from pathlib import Path

import pytest

from unlabeled.data.doctor import examine
from unlabeled.data.scan import scan
from unlabeled.data.splits import holdout

PATIENTS = [f"patient{i:02d}" for i in range(10)]


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def by_patient(root: Path, folder: str = "{p}") -> Path:
    return touch(
        root, *(f"{folder.format(p=p, c=f'c{i % 2}')}/{n}.png" for i, p in enumerate(PATIENTS) for n in range(4))
    )


@pytest.mark.parametrize("folder", ["{c}/{p}", "{c}/{p}/axial", "{c}/series-1/{p}", "scans/{c}/{p}"])
def test_folders_of_patients_inside_the_classes_are_never_parted(tmp_path: Path, folder: str) -> None:
    table = holdout(scan(by_patient(tmp_path, folder)))
    assert (table.classes, table.items["group"].nunique()) == (["c0", "c1"], 10)
    assert table.items.groupby("group")["split"].nunique().max() == 1
    assert len(table.rows("test")) == 8


def test_a_patient_in_train_and_test_folders_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/sub-1/1.png", "train/b/sub-2/1.png", "test/a/sub-1/2.png", "test/b/sub-3/1.png")
    [found] = [f for f in examine(scan(tmp_path), deep=False).findings if f.kind == "groups"]
    assert (found.severity, found.examples) == ("error", ["sub-1"])


@pytest.mark.parametrize("name", ["case_study", "pattern12", "subway3", "personal", "participants", "p", "12"])
def test_folders_that_name_no_person_are_no_groups(tmp_path: Path, name: str) -> None:
    assert scan(touch(tmp_path, f"a/{name}/1.png", "b/2.png")).items["group"].isna().all()


def test_classes_that_are_persons_stay_classes_and_are_told(tmp_path: Path) -> None:
    table = scan(by_patient(tmp_path))
    assert (table.classes, table.items["group"].notna().any()) == (PATIENTS, False)  # faces are told apart so
    [found] = [f for f in examine(table, deep=False).findings if f.kind == "classes"]
    assert "named as patients are" in found.text and "(patient,label)" in found.text


def test_other_folders_inside_the_classes_are_asked_about(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{c}/{c}{part}/{i}.png" for c in "ab" for part in "xyz" for i in range(3)))
    assert [f.examples for f in examine(scan(tmp_path), deep=False).findings if f.kind == "groups"] == [
        ["a/ax", "a/ay", "a/az", "b/bx", "b/by"]
    ]


@pytest.mark.parametrize("names", ["{c}/{i}.png", "{c}/raw/{i}.png", "{c}/{c}{i}/only.png", "{s}/{c}/{i}.png"])
def test_nothing_is_asked_where_folders_part_nothing(tmp_path: Path, names: str) -> None:
    touch(tmp_path, *(names.format(c=c, i=i, s=("train", "test")[i % 2]) for c in "ab" for i in range(6)))
    assert not [f for f in examine(scan(tmp_path), deep=False).findings if f.kind == "groups"]


@pytest.mark.parametrize("folder", ["{p}", "north/{p}", "{p}/axial"])
def test_a_table_of_patients_tells_the_labels_of_their_folders(tmp_path: Path, folder: str) -> None:
    by_patient(tmp_path, folder)
    rows = [f"{p},{'ill' if i % 2 else 'well'} ,{'north' if i < 4 else 'south'}" for i, p in enumerate(PATIENTS[:8])]
    (tmp_path / "labels.csv").write_text("\n".join(["Patient ID,diagnosis,site", *rows]))
    table = scan(tmp_path)
    assert (table.classes, table.form) == (["ill", "well"], "folders, and labels.csv by their names")
    assert {s: len(table.rows(s)) for s in ("train", "unlabeled")} == {"train": 32, "unlabeled": 8}
    for _, item in table.items[table.items["label"].notna()].iterrows():
        number = int(item["group"][-2:])
        assert item["group"] in item["path"].split("/")
        assert (item["label"], item["domain"]) == (("well", "ill")[number % 2], "north" if number < 4 else "south")


def test_a_table_of_patients_or_of_names_without_suffix_tells_files(tmp_path: Path) -> None:
    touch(tmp_path, *(f"scan_{i}.png" for i in range(6)))
    rows = [f"scan_{i},{'xy'[i % 2]},{i // 2},{('train', 'test')[i // 4]}" for i in range(6)]
    (tmp_path / "list.csv").write_text("\n".join(["image_id,label,patient,split", *rows]))
    items = scan(tmp_path).items
    assert items["label"].tolist() == list("xyxyxy")
    assert items["group"].tolist() == list("001122")
    assert items["split"].tolist() == ["train"] * 4 + ["test"] * 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("patient,label\npatient00,x\npatient00,y\npatient01,x\n", "name the files in a column"),  # two labels of one
        ("patient,label\np7,x\np8,y\n", "name the files in a column"),  # nobody's folder
        ("patient,label\n0,x\n1,y\n", "name the files in a column"),  # numbers that pictures have as well
        ("path,label\ngone/1.png,x\n", "1 of the 1 files that it names are not in the folder (gone/1.png)"),
        ("path,label\npatient00/1.png,x\npatient00/1.png,x\n", "it names patient00/1.png twice"),
    ],
)
def test_a_table_that_tells_labels_and_is_not_read_says_why(tmp_path: Path, text: str, told: str) -> None:
    by_patient(tmp_path)
    (tmp_path / "labels.csv").write_text(text)
    table = scan(tmp_path)
    assert table.classes == PATIENTS
    assert any(n.startswith("labels.csv tells a ") and told in n for n in table.notes)


def test_a_table_that_tells_no_labels_is_left_aside_quietly(tmp_path: Path) -> None:
    by_patient(tmp_path)
    (tmp_path / "sizes.csv").write_text("name,width\npatient00,3\n")
    assert scan(tmp_path).notes == ("other files were left aside: 1 .csv",)
