"""Every form in which data lie on disk is found, and nothing else is taken for one."""

import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unlabeled.data.scan import scan
from unlabeled.data.splits import holdout
from unlabeled.data.table import Table
from unlabeled.errors import UserError
from unlabeled.verbs.audit import column


def touch(root: Path, *names: str) -> Path:
    """Files with a picture's name; the index never opens them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def told(table: Table) -> dict[str, tuple[str | None, str]]:
    items = table.items.astype(object).where(table.items.notna(), None)
    return {p: (label, split) for p, label, split in zip(items["path"], items["label"], items["split"], strict=True)}


def test_steel_has_train_and_test_folders(steel: Path) -> None:
    table = scan(steel)
    assert table.form == "train and test folders"  # boxes.csv names pictures several times: it is no manifest
    assert table.classes == ["crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"]
    assert (len(table.rows("train")), len(table.rows("test"))) == (1199, 360)
    assert (steel / table.items["path"].iloc[-1]).is_file()


def test_real_manifests_bring_groups_and_domains(steel: Path) -> None:
    tiles, objects = steel.parent / "magnetic_tile", steel.parent / "pacs_mini"
    if not (tiles.is_dir() and objects.is_dir()):
        pytest.skip("these pictures are not on this machine")
    table = scan(tiles)
    assert len(table) == 1344  # the masks beside them are no items
    assert table.items["group"].nunique() == 321
    assert sorted(scan(objects).items["domain"].unique()) == ["art_painting", "cartoon", "photo", "sketch"]


def test_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/more/2.JPG", "dog/1.png", "dog/notes.txt", ".git/x.png", "__MACOSX/cat/1.jpg")
    table = scan(tmp_path)
    assert table.form == "class folders"
    assert told(table) == {
        "cat/1.jpg": ("cat", "train"),
        "cat/more/2.JPG": ("cat", "train"),
        "dog/1.png": ("dog", "train"),
    }
    assert table.notes == ("other files were left aside: 1 .txt",)


def test_split_folders_with_all_four_and_something_beside(tmp_path: Path) -> None:
    touch(tmp_path, "Training/a/1.png", "Training/2.png", "valid/a/3.png", "test/b/4.png", "unlabelled/x/5.png")
    touch(tmp_path, "masks/6.png")
    table = scan(tmp_path)
    assert table.form == "train, val, test and unlabeled folders"
    assert told(table) == {
        "Training/a/1.png": ("a", "train"),
        "Training/2.png": (None, "unlabeled"),
        "valid/a/3.png": ("a", "val"),
        "test/b/4.png": ("b", "test"),
        "unlabelled/x/5.png": (None, "unlabeled"),
    }
    assert "the 1 pictures in masks/ beside the splits were left aside" in table.notes


def test_labelled_beside_unlabelled(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png", "3.png", "unlabeled/4.png")
    table = scan(tmp_path)
    assert table.form == "class folders and unlabelled pictures"
    assert {k: v[1] for k, v in told(table).items()} == {
        "a/1.png": "train",
        "b/2.png": "train",
        "3.png": "unlabeled",
        "unlabeled/4.png": "unlabeled",
    }


@pytest.mark.parametrize("folder", ["", "images/", "wrapper/images/"])
def test_a_flat_folder_has_no_labels(tmp_path: Path, folder: str) -> None:
    table = scan(touch(tmp_path, f"{folder}1.png", f"{folder}2.png"))
    assert (table.form, table.classes, len(table.rows("unlabeled"))) == ("flat folder", [], 2)


def test_a_folder_whose_name_ends_like_a_picture_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "lot.tif/1.png", "lot.tif/2.png", "other/3.png")
    assert scan(tmp_path).items["path"].tolist() == ["lot.tif/1.png", "lot.tif/2.png", "other/3.png"]


def test_a_manifest_beside_the_folder_of_its_files_is_told_where_they_are(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save((tmp_path / "photos").with_suffix(".png"))
    (tmp_path / "photos/monday").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "photos/monday/2.png")
    (tmp_path / "list.csv").write_text("path,label\nmonday/1.png,a\nmonday/2.png,b\n")
    with pytest.raises(UserError, match=r"none of the 2 files .* is in .*monday/1.png") as refused:
        scan(tmp_path / "list.csv")
    assert "list.csv" in str(refused.value) and "paths begin in" in str(refused.value)
    (tmp_path / "list.csv").write_text("path,label\nmonday/2.png,b\nmonday/1.png,a\n")
    with pytest.raises(UserError, match=r"they are in .*photos: put the table there"):
        scan(tmp_path / "list.csv")
    shutil.copy(tmp_path / "list.csv", tmp_path / "photos")
    assert scan(tmp_path / "photos/list.csv").items["label"].tolist() == ["b", "a"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_told_and_the_rest_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/a/caf\xe9.png"))).touch()
    table = scan(tmp_path)
    assert table.items["path"].tolist() == ["a/1.png"]
    assert table.notes == ("other files were left aside: 1 whose names are no UTF-8",)


def test_one_word_in_two_ways_of_writing_is_one_class(tmp_path: Path) -> None:
    composed, parted = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))
    table = scan(touch(tmp_path, f"train/{composed}/1.png", f"test/{parted}/2.png"))
    assert table.classes == [composed]
    assert all((tmp_path / path).is_file() for path in table.items["path"])


def test_a_folder_of_images_in_each_split_is_no_class(tmp_path: Path) -> None:
    table = scan(touch(tmp_path, "train/images/1.png", "val/images/2.png", "test/images/3.png", "train/labels/1.txt"))
    assert told(table) == {
        "test/images/3.png": (None, "test"),
        "train/images/1.png": (None, "unlabeled"),
        "val/images/2.png": (None, "val"),
    }


def test_a_wrapping_folder_is_stepped_into(tmp_path: Path) -> None:
    table = scan(touch(tmp_path, "archive/train/a/1.png", "archive/test/a/2.png"))
    assert table.form == "train and test folders"
    assert told(table)["archive/test/a/2.png"] == ("a", "test")


def test_one_class_stays_a_class(tmp_path: Path) -> None:
    assert scan(touch(tmp_path, "scratches/1.png", "scratches/2.png")).classes == ["scratches"]


def test_folders_that_repeat_below_the_classes_are_pointed_at(tmp_path: Path) -> None:
    table = scan(touch(tmp_path, "photo/cat/1.png", "photo/dog/1.png", "sketch/cat/1.png", "sketch/dog/1.png"))
    assert any("cat, dog" in note for note in table.notes)


def test_a_link_in_a_circle_is_walked_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(scan(tmp_path)) == 2


def test_a_manifest_with_splits_is_the_whole_list(tmp_path: Path) -> None:
    touch(tmp_path, "p/1.png", "p/2.png", "p/3.png")
    (tmp_path / "list.csv").write_text("path,label,patient,site,split\n./p/1.png,a,x,s1,Train\np\\2.png,,y,s2,test\n")
    for given in (tmp_path, tmp_path / "list.csv"):
        table = scan(given)
        assert told(table) == {"p/1.png": ("a", "train"), "p/2.png": (None, "test")}
        assert table.items["group"].tolist() == ["x", "y"]
        assert table.items["domain"].tolist() == ["s1", "s2"]
        assert table.folder == tmp_path


def test_a_manifest_of_some_labels_leaves_the_rest_unlabelled(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "mask.png")
    pd.DataFrame({"file": ["1.png"], "class": ["a"], "mask": ["mask.png"]}).to_parquet(tmp_path / "labels.parquet")
    assert told(scan(tmp_path)) == {"1.png": ("a", "train"), "2.png": (None, "unlabeled")}


@pytest.mark.parametrize(
    "text", ["file,class\n1.png,a\n1.png,b\n", "file,class\ngone.png,a\n", "id,score\n1,2\n", '"unclosed\n', ""]
)
def test_an_unrelated_table_is_left_aside(tmp_path: Path, text: str) -> None:
    touch(tmp_path, "1.png", "2.png")
    (tmp_path / "other.csv").write_text(text)
    assert scan(tmp_path).form == "flat folder"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("filename,defect\n1.png,a\n2.png,b\n", '(others: defect): call the one that does "label"'),
        ("Datei;Klasse\n1.png;a\n2.png;b\n", '(others: Klasse): call the one that does "label", and call Datei "path"'),
        ("file,scratch,dent\n./1.png,0,2\n2.png,1,0\n", "(others: scratch, dent): call the one"),
        (
            "file,scratch,dent\n1.png,0,1\n2.png,1,1\n3.png,0,1\n",
            "1 of 3 rows do not, the first of them row 3 with 2 ones",
        ),
        ("1.png,a\n2.png,b\n", 'has no heads, and was not read: write "path,label" as its first line'),
    ],
)
def test_a_table_that_names_the_files_and_no_known_label_says_what_to_call_it(
    tmp_path: Path, text: str, told: str
) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "labels.csv").write_text(text)
    table = scan(tmp_path)
    assert table.form == "flat folder"
    assert any(note.startswith("labels.csv ") and told in note for note in table.notes), table.notes
    (tmp_path / "labels.csv").write_text("file\n1.png\n2.png\n")  # names them and tells nothing more
    assert scan(tmp_path).notes == ("other files were left aside: 1 .csv",)


@pytest.mark.parametrize("folder", [False, True])
def test_a_column_a_class_is_read_where_each_row_holds_one(tmp_path: Path, folder: bool) -> None:
    """As lists of skin and of X-rays have it; a row without any cell has no label."""
    touch(tmp_path, "1.png", "2.png", "3.png", "4.png")
    text = "image,patient,MEL,NV,rare\n1.png,7,1.0,0.0,0.0\n2.png,8,0.0,1.0,0.0\n3.png,9,,,\n4.png,9,True,False,False\n"
    (tmp_path / "list.csv").write_text(text)
    table = scan(tmp_path if folder else tmp_path / "list.csv")
    assert [label for label, _ in told(table).values()] == ["MEL", "NV", None, "MEL"]
    assert any("the classes are columns of list.csv" in note for note in table.notes)
    (tmp_path / "list.csv").write_text(text.replace("1.png,7,1.0,0.0", "1.png,7,0.0,0.0"))
    table = scan(tmp_path if folder else tmp_path / "list.csv")
    assert not table.classes
    assert any("1 of 3 rows do not, the first of them row 2 with no 1" in note for note in table.notes)


def test_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 4, 4), dtype=np.uint8), y=np.array([1, 0, -1]))
    for given in (tmp_path, tmp_path / "a.npz"):
        table = scan(given)
        assert told(table) == {"a.npz#0": ("1", "train"), "a.npz#1": ("0", "train"), "a.npz#2": (None, "unlabeled")}


def test_one_picture(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert len(scan(tmp_path)) == len(scan(tmp_path / "a.png")) == 1


def test_another_folder_joins_without_labels(tmp_path: Path) -> None:
    touch(tmp_path / "small", "a/1.png", "b/2.png")
    touch(tmp_path / "big", "x/3.png", "y/4.png")
    table = scan(tmp_path / "small", unlabeled=tmp_path / "big")
    assert len(table.rows("train", labelled=True)) == 2
    added = table.items["path"].iloc[table.rows("unlabeled")]
    assert [(table.folder / p).resolve() for p in added] == [tmp_path / "big" / "x/3.png", tmp_path / "big" / "y/4.png"]
    assert table.items["label"].iloc[table.rows("unlabeled")].isna().all()


def test_unlabelled_items_keep_their_groups_so_that_none_is_learnt_from_and_tested_on(tmp_path: Path) -> None:
    touch(tmp_path, "lab/1.png", "lab/2.png", "lab/3.png", "lab/4.png", "more/5.png", "more/6.png")
    lines = "1.png,a,p1\n2.png,b,p1\n3.png,a,p2\n4.png,b,p2\n"
    (tmp_path / "lab" / "m.csv").write_text(f"path,label,patient\n{lines}")
    (tmp_path / "more" / "m.csv").write_text("path,patient,site\n5.png,p1,x\n6.png,p2,y\n")
    table = scan(tmp_path / "lab", unlabeled=tmp_path / "more")
    assert table.items["domain"].dropna().tolist() == ["x", "y"]
    parted = holdout(table).items
    assert parted.groupby("group")["split"].agg(lambda s: len({x == "test" for x in s})).tolist() == [1, 1]


def test_another_folder_of_other_items_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "lab/a/1.png", "sounds/1.wav")
    with pytest.raises(UserError, match=r"holds sounds, and .* pictures"):
        scan(tmp_path / "lab", unlabeled=tmp_path / "sounds")


def test_another_folder_inside_or_around_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "lab/a/1.png", "lab/b/2.png", "lab/pool/3.png", "4.png")
    inside = scan(tmp_path / "lab", unlabeled=tmp_path / "lab" / "pool")
    assert (inside.classes, len(inside)) == (["a", "b"], 3)
    around = scan(tmp_path / "lab", unlabeled=tmp_path)
    assert len(around) == 4
    assert len(around.rows("unlabeled")) == 1


@pytest.mark.parametrize("name", ["gone", "empty", "notes.dat"])
def test_what_cannot_be_scanned_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.dat").write_text("hello")
    with pytest.raises(UserError) as told_error:
        scan(tmp_path / name)
    assert name in str(told_error.value)
    assert "\n" not in str(told_error.value)


def test_a_manifest_with_a_strange_split_or_two_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("path,split\na.png,holdout\n")
    with pytest.raises(UserError, match='the split "holdout"'):
        scan(path)
    path.write_text("path,label\na.png,x\na.png,y\n")
    with pytest.raises(UserError, match="several labels"):
        scan(path)


def test_the_order_does_not_depend_on_the_disk(tmp_path: Path) -> None:
    names = [f"{c}/{i}.png" for c in "cab" for i in (10, 9, 1)]
    assert scan(touch(tmp_path, *names)).items["path"].tolist() == sorted(names)


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may look everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "a").chmod(0)
    with pytest.raises(UserError, match="cannot look into"):
        scan(tmp_path)
    (tmp_path / "a").chmod(0o700)


@pytest.mark.parametrize("disk", ["NFC", "NFD"])
def test_manifests_name_files_in_either_form_of_letters(tmp_path: Path, disk: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[disk]
    names = [unicodedata.normalize(disk, f"Käse/ü{i}.png") for i in range(4)]  # type: ignore[arg-type]
    touch(tmp_path, *names, "mask.png")
    told_as = [unicodedata.normalize(other, name) for name in names]  # type: ignore[arg-type]
    pd.DataFrame({"path": told_as, "label": list("aabb")}).to_csv(tmp_path / "list.csv", index=False)
    assert scan(tmp_path).form == "manifest list.csv"
    assert scan(tmp_path).items["path"].tolist() == [*names, "mask.png"]
    assert scan(tmp_path / "list.csv").items["path"].tolist() == names
    (tmp_path / "far").mkdir()
    pd.DataFrame({"path": [str(tmp_path / n) for n in told_as] + ["ö.png"]}).to_csv(tmp_path / "far/l.csv", index=False)
    assert scan(tmp_path / "far/l.csv").items["path"].tolist() == [*(str(tmp_path / n) for n in names), "ö.png"]


def test_several_array_files_are_one_clear_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=np.zeros((3, 8, 8), np.uint8), y=[0, 1, 1])
    with pytest.raises(UserError, match=r"holds 2 \.npz files of pictures .*one is read at a time; give one of them"):
        scan(tmp_path)
    pd.DataFrame({"path": ["a.npz"], "label": ["x"]}).to_csv(tmp_path / "list.csv", index=False)
    with pytest.raises(UserError, match="give that file itself"):
        scan(tmp_path / "list.csv")
    assert len(scan(tmp_path / "a.npz")) == 3


@pytest.mark.parametrize(
    "name", ["p1.nii.gz", "p1.nii", "IM1.dcm", "IM1.IMA", "a.nrrd", "IM00001", "1.2.840.113619.2.55.3"]
)
def test_volumes_are_refused_with_what_to_do_and_are_not_said_to_be_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / "well").mkdir()
    (tmp_path / "well" / name).write_bytes(bytes(128) + b"DICM" + bytes(64))
    (tmp_path / "list.csv").write_text(f"path,label\nwell/{name},x\n")
    lists = [tmp_path / "list.csv"] if name[-1].isalpha() else []
    for place in (tmp_path / "well" / name, tmp_path / "well", *lists):
        with pytest.raises(UserError, match=r"save their slices as PNG .* whose group is the patient"):
            scan(place)


def test_volumes_beside_pictures_are_told(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png", *(f"a/{i}.nii.gz" for i in range(9)))
    assert [n.split(":")[0] for n in scan(tmp_path).notes] == [
        "other files were left aside",
        "volumes and DICOM are not read",
    ]


@pytest.mark.parametrize(("name", "remedy"), [("ward.xlsx", "save it as CSV or Parquet"), ("ward.csv.gz", "unpack it")])
def test_how_files_that_cannot_be_read_as_they_are_can_be(tmp_path: Path, name: str, remedy: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4")
    for place in (tmp_path / name, tmp_path):
        with pytest.raises(UserError, match=remedy):
            scan(place)


@pytest.mark.parametrize(
    ("first", "end", "words"),
    [("-5", "10", "the range -5 to 10 of a.wav"), ("10", "10", "the range 10 to 10"), ("x", "10", "no whole numbers")],
)
def test_a_range_that_holds_nothing_is_told_as_such(tmp_path: Path, first: str, end: str, words: str) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "list.csv").write_text(f"path,first,end,label\na.wav,0,10,x\na.wav,{first},{end},y\n")
    with pytest.raises(UserError, match=words):
        scan(tmp_path / "list.csv")


def test_a_list_in_the_folder_may_name_its_files_from_the_root_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path / "steel", "1.png", "2.png", "3.png")
    (tmp_path / "link").symlink_to(tmp_path / "steel")
    monkeypatch.chdir(tmp_path)
    for named, given in (("steel", tmp_path / "steel"), ("steel", "steel"), ("steel", "link"), ("link", "link")):
        files = [str(tmp_path / named / f"{i}.png") for i in (1, 2)]
        items = pd.DataFrame({"path": files, "label": ["ok", "bad"], "sex": "f"})
        items.to_csv(tmp_path / "steel" / "labels.csv", index=False)
        found = scan(given)
        assert told(found) == {"1.png": ("ok", "train"), "2.png": ("bad", "train"), "3.png": (None, "unlabeled")}
        assert column(found, str(given), "sex").tolist() == ["f", "f", None]
