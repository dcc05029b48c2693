"""Whose a recording is and what is told of it as a whole: patients, stays, sites, labels, descriptors."""

from pathlib import Path

import numpy as np
import pytest

from unlabeled.formats.recording import read


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


STAYS = "subject_id,hadm_id,stay_id,charttime,hr,hospital,label\n" + "".join(
    f"{patient},{200 + stay},{300 + stay},2150-0{1 + stay}-01 0{hour}:00,{80 + stay},{site},{stay % 2}\n"
    for stay, (patient, site) in enumerate([("07", "north"), ("07", "north"), ("7", "south")])
    for hour in range(3)
)


def test_stays_of_one_patient_are_recordings_of_their_own(tmp_path: Path) -> None:
    found = read(written(tmp_path / "icu.csv", STAYS))
    assert {k: (r.group, r.domain, r.label) for k, r in found.items()} == {
        "300": ("07", "north", "0"), "301": ("07", "north", "1"), "302": ("7", "south", "0"),
    }  # fmt: skip
    assert {r.variables for r in found.values()} == {("hr",)}  # no number of a patient or a stay is measured


@pytest.mark.parametrize(
    "word", ["subject_id", "patient_id", "icustay_id", "hadm_id", "encounter_id", "mrn", "Patient ID", "ParticipantID"]
)
def test_patients_are_not_poured_into_one_recording(tmp_path: Path, word: str) -> None:
    found = read(written(tmp_path / "icu.csv", f"{word},time,hr\n1,0,80\n2,0,60\n1,1,81\n2,1,61\n"))
    assert {k: r.values.tolist() for k, r in found.items()} == {"1": [[80, 81]], "2": [[60, 61]]}


def test_a_column_that_numbers_the_rows_is_no_id_of_recordings(tmp_path: Path) -> None:
    found = read(written(tmp_path / "icu.csv", "id,patient,time,hr\n1,a,0,80\n2,a,1,81\n3,b,0,60\n"))
    assert {k: (r.variables, r.values.tolist()) for k, r in found.items()} == {
        "a": (("hr",), [[80, 81]]), "b": (("hr",), [[60]]),
    }  # fmt: skip


def test_a_site_that_changes_within_a_recording_is_measured(tmp_path: Path) -> None:
    found = read(written(tmp_path / "icu.csv", "patient,time,device,hr\na,0,1,80\na,1,2,81\nb,0,1,60\n"))
    assert found["a"].domain is None and found["a"].variables == ("device", "hr")


@pytest.mark.parametrize(
    ("cells", "label", "marks"),
    [
        (["0", "0", "1", "1"], ["0", "1"], [["0", "0"], ["1", "1"]]),
        (["0", "0", "", ""], ["0", None], [["0", "0"], None]),  # most outcomes are not known
        (["0", "1", "1", "1"], [None, None], [["0", "1"], ["1", "1"]]),  # labels of steps
        (["0", "", "1", "1"], [None, None], [["0", None], ["1", "1"]]),
    ],
)
def test_a_label_that_all_steps_bear_is_that_of_the_recording(
    tmp_path: Path, cells: list[str], label: list[str | None], marks: list[list[str | None] | None]
) -> None:
    lines = "".join(f"{'ab'[i // 2]},{i % 2},{80 + i},{cell}\n" for i, cell in enumerate(cells))
    found = read(written(tmp_path / "icu.csv", f"patient,time,hr,label\n{lines}"))
    assert [r.label for r in found.values()] == label
    assert [None if r.marks is None else r.marks.tolist() for r in found.values()] == marks


def test_a_recording_without_a_value_is_told_by_its_id(tmp_path: Path) -> None:
    found = read(written(tmp_path / "icu.csv", "patient,time,hr\n1,0,80\n2,0,\n2,1,\n3,x,7\n1,1,81\n"))
    assert {k: r.fault for k, r in found.items()}["2"] == "all its values are missing"
    assert list(found) == ["1", "2", "3"] and not found["1"].fault


def test_descriptors_that_are_not_known_are_missing_in_wide_tables_too(tmp_path: Path) -> None:
    [found] = read(written(tmp_path / "w.csv", "time,hr,age,sex,bmi\n0,80,-1,F,-0.3\n1,81,-1,F,-0.3\n")).values()
    assert np.isnan(found.static["age"]) and found.static["sex"] == 0
    assert found.static["bmi"] == -0.3  # in units of its spread


def test_sexes_in_words_are_numbers(tmp_path: Path) -> None:
    lines = "id,time,variable,value\n1,0,Gender,Male\n1,0,HR,80\n2,0,Gender,f\n2,0,HR,81\n3,0,Gender,?\n3,0,HR,82\n"
    found = read(written(tmp_path / "l.csv", lines))
    told = [r.static["Gender"] for r in found.values()]
    assert told[:2] == [1, 0] and np.isnan(told[2])


def test_columns_without_a_number_are_told(tmp_path: Path) -> None:
    [found] = read(written(tmp_path / "w.csv", 'time,hr,temp,crp\n0,80,"37,1",<5\n1,81,"37,4",<5\n')).values()
    assert found.variables == ("hr",)
    assert found.notes == ("columns without a number were left out: temp, crp",)
