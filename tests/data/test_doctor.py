"""The doctor finds what was planted, and is quiet about data that are well."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from unlabeled.data import checks, doctor, likeness
from unlabeled.data.doctor import Report, examine
from unlabeled.data.scan import scan
from unlabeled.data.store import Prep, build
from unlabeled.data.table import Broken, Table, frame

RNG = np.random.default_rng(0)


def kinds(report: Report, severity: str) -> list[str]:
    return [f.kind for f in report.findings if f.severity == severity]


def put(root: Path, name: str, pixels: np.ndarray, **options: int) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(root / name, **options)  # type: ignore[arg-type]


def smooth(side: int = 48) -> np.ndarray:
    """A random picture with large and small parts, as photos have them."""
    coarse = Image.fromarray(RNG.integers(0, 256, (6, 6), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return np.asarray(coarse)


@pytest.fixture
def well(tmp_path: Path) -> Path:
    """Two classes of 20 and 5 pictures in train and test, none like another."""
    for label in "ab":
        for i in range(25):
            put(tmp_path, f"{'train' if i < 20 else 'test'}/{label}/{i}.png", smooth())
    return tmp_path


def test_nothing_is_said_against_data_that_are_well(well: Path) -> None:
    report = examine(scan(well))
    assert kinds(report, "error") == kinds(report, "warning") == []
    assert report.facts["classes"] == {"a": {"train": 20, "test": 5}, "b": {"train": 20, "test": 5}}
    assert (report.facts["channels"], report.facts["bits"], report.facts["sizes"]) == (
        {1: 50},
        {8: 50},
        {"48 x 48": 50},
    )


def test_steel_is_well(steel: Path) -> None:
    report = examine(scan(steel))
    assert kinds(report, "error") == kinds(report, "warning") == []


def test_equal_files_across_the_test_split_and_under_two_labels(well: Path) -> None:
    (well / "test/a/copy.png").write_bytes((well / "train/b/3.png").read_bytes())
    report = examine(scan(well))
    leak, labels = (next(f for f in report.findings if f.kind == kind) for kind in ("leak", "labels"))
    assert (leak.severity, leak.examples) == ("error", ["test/a/copy.png = train/b/3.png"])
    assert labels.severity == "error"
    assert report.facts["duplicates"] == report.facts["duplicates_across_splits"] == 1
    assert report.facts["near_duplicates"] == 0  # equal ones are not told twice


def test_stacks_of_which_the_first_slice_alone_is_read_are_told(well: Path) -> None:
    for i in range(3):
        slices = [Image.fromarray(smooth().astype(np.uint16) * 200) for _ in range(12)]
        slices[0].save(well / f"train/a/stack{i}.tif", save_all=True, append_images=slices[1:])
    small = Image.fromarray(smooth(24))  # a preview of itself, as slides hold
    Image.fromarray(smooth()).save(well / "train/a/slide.tif", save_all=True, append_images=[small])
    [found] = [f for f in examine(scan(well)).findings if f.kind == "frames"]
    assert found.severity == "warning"
    assert found.text.startswith("3 pictures hold several frames (mostly 12)")


@pytest.mark.parametrize("how", ["jpeg", "resized", "brighter"])
def test_nearly_equal_pictures_across_the_test_split(well: Path, how: str) -> None:
    pixels = np.asarray(Image.open(well / "train/a/3.png"))
    if how == "resized":
        pixels = np.asarray(Image.fromarray(pixels).resize((60, 60), Image.Resampling.LANCZOS))
    elif how == "brighter":
        pixels = (pixels * 0.8 + 20).astype(np.uint8)
    put(well, f"test/a/near.{'jpg' if how == 'jpeg' else 'png'}", pixels, **({"quality": 60} if how == "jpeg" else {}))
    report = examine(scan(well))
    assert kinds(report, "warning") == ["leak"]
    assert (report.facts["near_duplicates"], report.facts["near_duplicates_across_splits"]) == (1, 1)


def test_copies_are_told_without_asking_for_the_test_items_at_each(well: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        shutil.copy(well / f"train/a/{i}.png", well / f"train/a/copy{i}.png")
    asked, rows = [], Table.rows
    monkeypatch.setattr(Table, "rows", lambda *a, **k: asked.append(a) or rows(*a, **k))
    assert examine(scan(well)).facts["duplicates"] == 20
    assert len(asked) < 10


def test_near_pairs_agree_with_all_pairs() -> None:
    pictures = np.stack([smooth(32) for _ in range(300)]).astype(np.float32)
    pictures[200:] = pictures[:100] + RNG.normal(0, RNG.uniform(1, 12, (100, 1, 1)), (100, 32, 32))
    rows = likeness.unit(pictures)
    alike = rows @ rows.T
    want = [(a, b) for a in range(300) for b in range(a + 1, 300) if alike[a, b] >= likeness.ALIKE]
    every = np.arange(300)
    assert 20 < len(want) < 100
    assert [tuple(pair) for pair in likeness.near_pairs(rows, every, every).tolist()] == want


def test_groups_that_straddle(tmp_path: Path) -> None:
    items = frame(["1.png", "2.png", "3.png"], ["train", "test", "train"], ["a", "a", "b"], ["p1", "p1", "p2"])
    report = examine(Table(tmp_path, "made", "image", items), deep=False)
    finding = report.findings[0]
    assert (finding.kind, finding.severity, finding.examples) == ("groups", "error", ["p1"])


def test_classes_that_are_missing_single_or_uneven(tmp_path: Path) -> None:
    labels = [*"a" * 20, "b", "c", "d"]
    parts = ["train"] * 22 + ["test"]
    items = frame([f"{i}.png" for i in range(23)], parts, labels)
    text = " ".join(examine(Table(tmp_path, "made", "image", items), deep=False).lines())
    assert "one class is only in the test split" in text
    assert "3 classes are not in the test split" in text
    assert "2 classes are told by a single labelled item" in text
    assert '"a" has 20 items, "b" 1' in text


@pytest.mark.parametrize(("number", "word"), [(1, "only one item"), (5, "only one class")])
def test_too_little_is_said(tmp_path: Path, number: int, word: str) -> None:
    for i in range(number):
        put(tmp_path, f"a/{i}.png", smooth())
    assert any(word in line for line in examine(scan(tmp_path)).lines())


def test_broken_files_by_name_and_the_rest_is_used(well: Path) -> None:
    (well / "train/a/diary.png").write_text("dear diary")
    report = examine(scan(well))
    assert report.broken == (Broken("train/a/diary.png", "it is not a picture"),)
    assert "train/a/diary.png: it is not a picture" in " ".join(report.lines())
    assert report.facts["looked_at"] == 51


def test_plain_pictures_and_a_size_that_gives_the_class_away(tmp_path: Path) -> None:
    for i in range(30):
        put(tmp_path, f"a/{i}.png", smooth(48))
        put(tmp_path, f"b/{i}.png", smooth(60))
    put(tmp_path, "a/plain.png", np.full((48, 48), 9, dtype=np.uint8))
    report = examine(scan(tmp_path))
    found = {f.kind: f for f in report.findings if f.severity == "warning"}
    assert set(found) == {"constant", "sizes"}
    assert found["constant"].examples == ["a/plain.png"]
    assert "100% of the items (chance 51%)" in found["sizes"].text


def test_digits_that_a_turn_exchanges(digits: Path) -> None:
    facts = examine(scan(digits)).facts["views"]
    assert [swap[:2] for swap in facts["half turn"]["swaps"]] == [("6", "9")]
    assert [swap[:2] for swap in facts["mirror image upside down"]["swaps"]] == [("2", "5")]


def test_mirrored_classes_are_warned_of(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(40, 200, 32), (32, 1))
    for i in range(30):
        noise = RNG.normal(0, 10, (32, 32))
        put(tmp_path, f"left/{i}.png", (ramp + noise).astype(np.uint8))
        put(tmp_path, f"right/{i}.png", (ramp[:, ::-1] + noise.T).astype(np.uint8))
    table = scan(tmp_path)
    text = [f.text for f in examine(table).findings if f.severity == "warning"]
    assert len(text) == 1
    assert "--horizontal-flip 0" in text[0]
    _, items = build(table, Prep(32, 1), cache=tmp_path / "cache", progress=False)
    assert not doctor.flips(table, items)["horizontal_flip"]


def test_flips_of_real_data(digits: Path, steel: Path, tmp_path: Path) -> None:
    want = {
        steel: {"horizontal_flip": True, "vertical_flip": True},
        digits: dict.fromkeys(("horizontal_flip", "vertical_flip"), False),
    }
    for root, advice in want.items():
        table, items = build(scan(root), Prep(32, 1), cache=tmp_path, progress=False)
        assert doctor.flips(table, items) == advice


def test_classes_of_one_brightness(tmp_path: Path) -> None:
    for i in range(30):
        put(tmp_path, f"dark/{i}.png", smooth() // 4)
        put(tmp_path, f"light/{i}.png", smooth() // 4 + 180)
    assert any("of the brightness" in f.text for f in examine(scan(tmp_path)).findings if f.severity == "warning")


def test_few_labels_among_many_pictures_prove_nothing_and_are_all_looked_at(tmp_path: Path) -> None:
    for i in range(60):
        put(tmp_path, f"{i:02}.png", smooth())
    few = pd.DataFrame({"path": ["07.png", "31.png", "52.png"], "label": ["a", "b", "c"]})
    few.to_csv(tmp_path / "labels.csv", index=False)
    table = scan(tmp_path)
    assert "brightness" not in " ".join(examine(table).lines())
    some = checks.sample(table, table.rows(), 20)
    assert len(some) == 20 and set(np.flatnonzero(table.labels >= 0)) <= set(some) and (np.diff(some) > 0).all()
    assert len(checks.sample(table, table.rows(), 2)) == 2


def test_what_random_classes_explain_is_nothing() -> None:
    values, labels = RNG.normal(size=40), np.arange(40) % 20
    assert abs(np.mean([likeness.explained(RNG.permutation(values), labels) for _ in range(200)])) < 0.15
    assert likeness.explained(values[:2], np.array([0, 1])) == 0
    assert likeness.explained(labels + 0.01 * values, labels) > 0.99


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("2026-01-05", "2026-02-11", "2026-11-30"), True),
        (("20260105", "20260211_late", "30.11.2026"), True),
        (("2026-01-05", "2026-02-11", "rest"), False),
        (("0105", "1899-13-05", "20261305"), False),
        (("cat", "dog", "12345678"), False),
    ],
)
def test_folders_named_by_days_are_no_classes(tmp_path: Path, names: tuple[str, ...], told: bool) -> None:
    for name in names:
        put(tmp_path, f"{name}/1.png", smooth())
    assert ("named like days" in " ".join(examine(scan(tmp_path), deep=False).lines())) == told


def test_a_store_saves_the_look_at_files_and_finds_the_same(well: Path) -> None:
    (well / "test/a/copy.png").write_bytes((well / "train/b/3.png").read_bytes())
    table, items = build(scan(well), Prep(48, 1), cache=well / "cache", progress=False)
    assert kinds(examine(table, store=items), "error") == kinds(examine(table), "error") == ["leak", "labels"]


def test_the_report_is_plain_data(well: Path) -> None:
    report = examine(scan(well))
    assert json.loads(json.dumps(report.to_json()))["facts"]["items"] == 50


def test_neighbours_that_are_alike_are_told_until_groups_are_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    slices = np.repeat(random.integers(0, 256, (20, 8, 8)), 6, axis=0) + random.normal(0, 20, (120, 8, 8))
    rows = []
    for number, pixels in enumerate(slices.clip(0, 255).astype(np.uint8)):
        Image.fromarray(pixels).resize((32, 32)).save(tmp_path / f"{number}.png")
        rows.append((f"{number}.png", "ab"[number % 2], f"patient {number // 6}"))
    told = examine(scan(tmp_path))
    assert [f.severity for f in told.findings if f.kind == "order"] == ["warning"]
    assert told.facts["order"]["alike"] < 0.2
    (tmp_path / "121.png").write_text("no picture")  # one broken file hides nothing
    assert [f.severity for f in examine(scan(tmp_path)).findings if f.kind == "order"] == ["warning"]
    (tmp_path / "121.png").unlink()
    listed = pd.DataFrame(rows, columns=["path", "label", "group"])
    listed.to_csv(tmp_path / "m.csv", index=False)
    assert not [f for f in examine(scan(tmp_path / "m.csv")).findings if f.kind == "order"]
    for number, other in enumerate(random.permutation(120)):
        (tmp_path / f"{number}.png").rename(tmp_path / f"s{other}.png")
    listed.assign(path=[f"s{i}.png" for i in range(120)]).drop(columns="group").to_csv(tmp_path / "m.csv", index=False)
    assert not [f for f in examine(scan(tmp_path / "m.csv")).findings if f.kind == "order"]


def test_floats_up_to_one_among_larger_ones_are_told(tmp_path: Path) -> None:
    for i in range(4):
        Image.fromarray(np.full((12, 12), 0.5 if i == 3 else 500.0 * (1 + i), np.float32)).save(tmp_path / f"{i}.tif")
    found = [f.text for f in doctor.examine(scan(tmp_path)).findings if f.kind == "bits"]
    assert found == [
        "1 picture holds floats up to 1, which count as white, and 3 hold larger ones; "
        "save all as whole numbers of 16 bits, so that dark ones stay dark"
    ]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["0", "1", "NA"], '"NA" (4 items)'),  # as R writes what is missing
        (["0", "1", "-1"], '"-1" (4 items)'),
        (["1.0", "2.0", "-9.0"], '"-9.0" (4 items)'),
        (["1", "-1"], ""),
        (["good", "bad"], ""),
    ],
)
def test_classes_that_may_mean_no_label(labels: list[str], told: str) -> None:
    items = frame([f"{i}.png" for i in range(4 * len(labels))], ["train"] * 4 * len(labels), labels * 4)
    texts = [f.text for f in examine(Table(Path(), "manifest", "image", items), deep=False).findings]
    assert [text for text in texts if "no label is known" in text and told in text] == [
        text for text in texts if told and told in text
    ]
    assert any(told in text for text in texts) if told else not any("no label is known" in text for text in texts)


def records(root: Path, **columns: np.ndarray) -> Report:
    """What is said of 60 patients' records of 20 hours; of two thirds the outcome is known, and one in five died."""
    patient = np.repeat(np.arange(60), 20)
    died = np.where(patient % 3 > 0, np.where(patient % 5 == 0, "yes", "no"), "")
    heart = 80 + RNG.normal(size=1200)
    table = pd.DataFrame({"patient": patient, "time": np.tile(np.arange(20), 60), "hr": heart, "label": died} | columns)
    table.to_csv(root / "ward.csv", index=False)
    return examine(scan(root / "ward.csv"))


def told_of(report: Report, kind: str) -> list[str]:
    return [example for f in report.findings if f.kind == kind for example in f.examples]


def test_numbers_that_mean_missing(tmp_path: Path) -> None:
    rare, cold = np.where(RNG.random(1200) < 0.3, -999, 2 + RNG.random(1200)), RNG.normal(size=1200)
    on_minus, off = np.where(RNG.random(1200) < 0.1, -1, 37 + RNG.random(1200)), RNG.choice([-1, 1], 1200)
    coma = np.where(RNG.random(1200) < 0.1, 99, RNG.integers(3, 16, 1200))
    cells = np.where(RNG.random(1200) < 0.1, 999, RNG.integers(5, 1500, 1200))  # which may well be a number of cells
    report = records(tmp_path, lactate=rare, cold=cold, temp=on_minus, pole=off, gcs=coma, platelets=cells)
    assert sorted(text.split(" in ")[0] for text in told_of(report, "codes")) == [
        "gcs: 99",
        "lactate: -999",
        "temp: -1",
    ]


def test_an_outcome_among_the_variables(tmp_path: Path) -> None:
    patient = np.repeat(np.arange(60), 20)
    died, bed = (patient % 5 == 0).astype(int), patient + 100
    sex, slow = patient % 2, np.where(patient % 5 == 0, 80, 90) + np.tile(np.arange(20), 60) % 2
    report = records(tmp_path, hospital_expire_flag=died, bed=bed, sex=sex, slow=slow)
    assert told_of(report, "leak") == ["hospital_expire_flag"]


def test_data_without_oddities(tmp_path: Path) -> None:
    assert told_of(records(tmp_path), "codes") == told_of(records(tmp_path), "leak") == []


@pytest.mark.parametrize(("most", "told"), [(4095, True), (60_000, False)])
def test_scanners_that_use_a_part_of_sixteen_bits_are_told(tmp_path: Path, most: int, told: bool) -> None:
    for i in range(24):
        put(tmp_path, f"{i}.png", (smooth() / 255 * most).astype(np.uint16))
    texts = [f.text for f in examine(scan(tmp_path)).findings if f.kind == "bits"]
    assert any("of white" in text and "times 1" in text for text in texts) == told and len(texts) == told
    if told:  # a hot pixel of one picture is none of the others' brightness
        put(tmp_path, "hot.png", np.pad(np.full((24, 24), 60_000, np.uint16), 12))
        assert any("the brightest (but for 1)" in f.text for f in examine(scan(tmp_path)).findings)


def test_one_scanner_of_twelve_bits_among_others_of_eight_is_told(tmp_path: Path) -> None:
    """A site whose pictures would be black beside the others', and one that has spread its own."""
    for i in range(8):
        put(tmp_path, f"a{i}.png", smooth())
        put(tmp_path, f"b{i}.png", (smooth() / 255 * 4095).astype(np.uint16))
    table = scan(tmp_path)
    told = [f.text for f in examine(table).findings if "of white" in f.text]
    assert told and told[0].startswith("those of 16 bits are dark beside the others")
    items = build(table, Prep(48, 1, dtype="uint16"), cache=tmp_path / "cache", progress=False)[1]
    assert [f.text for f in examine(table, store=items).findings if "of white" in f.text] == told
    for i in range(8):
        put(tmp_path, f"b{i}.png", (smooth() / 255 * 65535).astype(np.uint16))
    assert not [f for f in examine(scan(tmp_path)).findings if "of white" in f.text]


def test_one_is_counted_as_one(tmp_path: Path) -> None:
    put(tmp_path, "plain.png", np.full((24, 24), 9, np.uint8))
    put(tmp_path, "deep.png", smooth().astype(np.uint16) * 257)
    (tmp_path / "broken.png").write_text("no picture")
    told = " / ".join(examine(scan(tmp_path)).lines())
    assert "1 picture has 16 bits and 1 has 8" in told and "1 picture is one plain colour" in told
    assert "1 of 3 files cannot be read and is left out" in told


def test_records_that_are_there_twice(tmp_path: Path) -> None:
    """One was copied into the test folder, one under another label; two flat ones are alike by chance."""
    for i in range(12):
        place = tmp_path / ("test" if i > 8 else "train") / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        heart = np.full(20, 80.0) if i in (2, 9) else RNG.normal(size=20)
        pd.DataFrame({"time": range(20), "hr": heart}).to_csv(place / f"{i}.csv", index=False)
    shutil.copy(tmp_path / "train" / "a" / "0.csv", tmp_path / "test" / "a" / "again.csv")
    shutil.copy(tmp_path / "train" / "b" / "1.csv", tmp_path / "train" / "a" / "torn.csv")
    report = examine(scan(tmp_path))
    assert told_of(report, "leak") == ["test/a/again.csv = train/a/0.csv"]
    assert told_of(report, "labels") == ["train/a/torn.csv = train/b/1.csv"]
    assert len(told_of(report, "duplicates")) == 2 and kinds(report, "error") == ["leak", "labels"]
