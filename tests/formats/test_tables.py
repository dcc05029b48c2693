"""Manifests and array files are understood by their names, and what is wrong with them is told in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unlabeled.errors import UserError
from unlabeled.formats import manifest, npz


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_columns_are_known_by_other_words(tmp_path: Path, suffix: str) -> None:
    frame = pd.DataFrame(
        {"File": ["a.png", "b.png"], "class": [3, None], "patient_id": ["NA", "7"], "note": ["x", "y"]}
    )
    frame["class"] = frame["class"].astype("Int64")
    path = tmp_path / f"m.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    out = manifest.read(path)
    assert out["path"].tolist() == ["a.png", "b.png"]
    assert out["label"].iloc[0] == "3"
    assert out["label"].isna().tolist() == [False, True]
    assert out["group"].tolist() == ["NA", "7"]


@pytest.mark.parametrize("text", ["path;label\na.png;cat\nb.png;dog\n", "path,label\na.png,cat,\nb.png,dog,\n"])
def test_spreadsheets_write_semicolons_and_separators_at_the_ends(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    assert manifest.read(tmp_path / "m.csv").to_dict("list") == {"path": ["a.png", "b.png"], "label": ["cat", "dog"]}


def test_of_two_columns_of_one_name_the_first_counts(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,Label,label\na.png,cat,0\n")
    assert manifest.read(tmp_path / "m.csv").to_dict("list") == {"path": ["a.png"], "label": ["cat"]}


@pytest.mark.parametrize(
    "word",
    ["PatientID", "Patient ID", "patientId", "patient-id", "SUBJECT_ID", "Participant_ID", "mrn", "StudyInstanceUID"],
)
def test_patients_are_known_however_their_column_is_written(tmp_path: Path, word: str) -> None:
    (tmp_path / "m.csv").write_text(f"File Name,label,{word},Institution Name\na.png,x,7,north\nb.png,y,8,south\n")
    found = manifest.read(tmp_path / "m.csv")
    assert (found["path"].tolist(), found["group"].tolist()) == (["a.png", "b.png"], ["7", "8"])
    assert found["domain"].tolist() == ["north", "south"]


def test_a_group_of_patients_is_no_patient(tmp_path: Path) -> None:
    """Lists of cohorts call the diagnosis so: items of one patient stay together, and it may be the label."""
    rows = [f"{i}.png,S{i // 2},{('AD', 'CN')[i % 4 // 2]}" for i in range(12)]
    (tmp_path / "m.csv").write_text("\n".join(["Image,Subject,Group", *rows]))
    found = manifest.read(tmp_path / "m.csv")
    assert found["group"].tolist() == [f"S{i // 2}" for i in range(12)] and found["Group"].nunique() == 2
    assert "(others: Group)" in manifest.unnamed(tmp_path / "m.csv")
    (tmp_path / "m.csv").write_text("\n".join(["Image,Subject,Group,label", *(f"{r},x" for r in rows)]))
    assert manifest.read(tmp_path / "m.csv")["group"].nunique() == 2  # with labels it says what it says
    assert manifest.unnamed(tmp_path / "m.csv") == ""


def test_a_patient_is_one_patient_with_and_without_spaces(tmp_path: Path) -> None:
    lines = ["a.png,cat,P1,A", "b.png, cat ,P1 ,A ", "c.png,Ka\u0308se, P2, ", "d.png,K\u00e4se,P2,"]
    (tmp_path / "m.csv").write_text("\n".join(["path, label, patient, site", *lines]))
    found = manifest.read(tmp_path / "m.csv")
    assert found["group"].tolist() == ["P1", "P1", "P2", "P2"]
    assert found["label"].nunique() == 2
    assert found["domain"].fillna("none").tolist() == ["A", "A", "none", "none"]


def test_patients_that_a_program_has_made_floats_are_those_of_the_other_table(tmp_path: Path) -> None:
    pd.DataFrame({"path": ["a.png", "b.png"], "patient": [7, None], "label": ["1.0", None]}).to_csv(
        tmp_path / "m.csv", index=False
    )
    found = manifest.read(tmp_path / "m.csv")
    assert "7.0" in (tmp_path / "m.csv").read_text()
    assert (found["group"].iloc[0], found["label"].iloc[0]) == ("7", "1.0")


def test_a_table_without_files_tells_its_columns_as_they_are_called(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file_a,file_b,Case\n1,2,3\n")
    with pytest.raises(UserError, match=r"it has: file_a, file_b, Case\)"):
        manifest.read(tmp_path / "m.csv")


def test_whole_numbers_beside_empty_cells_stay_whole(tmp_path: Path) -> None:
    frame = pd.DataFrame({"path": ["a.csv", "b.csv"], "label": [3, None], "first": [0, None], "end": [8, None]})
    frame.to_parquet(tmp_path / "m.parquet")
    found = manifest.read(tmp_path / "m.parquet")
    assert [found[c].iloc[0] for c in ("label", "first", "end")] == ["3", "0", "8"]


def test_a_table_without_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("height,width\n1,2\n")
    with pytest.raises(UserError, match=r"no column that names files.*height, width"):
        manifest.read(tmp_path / "m.csv")


def test_a_broken_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(UserError, match="cannot read the manifest"):
        manifest.read(tmp_path / "m.parquet")


def test_splits_and_labels_of_arrays(tmp_path: Path) -> None:
    x = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)
    np.savez(tmp_path / "a.npz", x_test=x[3:], x_train=x[:3], y_train=np.array([0, 1, -1]), y_test=np.array([1, 0]))
    known = npz.index(tmp_path / "a.npz")
    assert known["split"] == ["train", "train", "unlabeled", "test", "test"]
    assert known["label"] == ["0", "1", None, "1", "0"]
    assert np.array_equal(npz.read(tmp_path / "a.npz"), x)


def test_arrays_of_patients_and_sites_are_groups_and_domains(tmp_path: Path) -> None:
    x = np.zeros((2, 4, 4), np.uint8)
    np.savez(tmp_path / "a.npz", x_train=x, patients_train=[7, 8], site_train=["n", "s"])
    known = npz.index(tmp_path / "a.npz")
    assert (known["group"], known["domain"]) == (["7", "8"], ["n", "s"])


@pytest.mark.parametrize("layout", ["first", "last"])
def test_channels_come_first_or_last(tmp_path: Path, layout: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=x if layout == "last" else x.transpose(0, 3, 1, 2), labels=list("aabbcc"))
    assert np.array_equal(npz.read(tmp_path / "a.npz"), x)
    assert npz.index(tmp_path / "a.npz")["label"] == list("aabbcc")


def test_number_types(tmp_path: Path) -> None:
    cases = {
        np.uint8(255): (np.array([[[0.0, 1.0], [0.5, 0.25]]]), [0, 255, 128, 64]),
        np.uint16(0): (np.array([[[0, 1000], [2, 3]]]), [0, 1000, 2, 3]),
        np.uint8(1): (np.array([[[0, 16.0], [2, 3]]]), [0, 16, 2, 3]),
    }
    for kind, (x, want) in cases.items():
        np.savez(tmp_path / "a.npz", x=x)
        out = npz.read(tmp_path / "a.npz")
        assert out.dtype == kind.dtype
        assert out.ravel().tolist() == want


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"weights": np.zeros((3, 3))}, "no array of pictures"),
        ({"x": np.zeros((3, 64), dtype=np.uint8)}, "has the shape"),
        ({"x": np.zeros((3, 4, 4), dtype=np.uint8), "y": np.zeros(2)}, "y has the shape"),
    ],
)
def test_unusable_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=words):
        npz.index(tmp_path / "a.npz")


def test_values_without_a_known_range_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.array([[[-1.5, 2.5]]]))
    with pytest.raises(UserError, match=r"float64 from -1.5 to 2.5"):
        npz.read(tmp_path / "a.npz")


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), dtype=np.uint8), y=np.array([{}, []], dtype=object))
    with pytest.raises(UserError, match="cannot read y"):
        npz.index(tmp_path / "a.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UserError, match="cannot read"):
        npz.index(tmp_path / "a.npz")
