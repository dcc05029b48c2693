"""Who is put to the test: the runs of one or more folders, and the same encoders with random weights beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from unlabeled.data.prepare import Prepared, prepare, read_prep
from unlabeled.encoders import Encoder, _build
from unlabeled.errors import UserError
from unlabeled.study.plan import safe
from unlabeled.study.turns import without_labelled
from unlabeled.training.recipe import Recipe
from unlabeled.training.run import CONFIG, Run, fingerprint

RANDOM = "random"
SUPERVISED = "supervised"
LINEAR = "linear"


@dataclass(frozen=True)
class Subject:
    """One encoder under test.

    Args:
        arm: name of its arm: `simclr`, `random`.
        seed: of its weights.
        kind: `trained`, `random` or `supervised` (trained here on the clean training labels).
        recipe: what it is made of.
        folder: of its run; None where nothing was pretrained.
        probe: the protocol that reads its features: `linear`, or one that looks at the labelled items in more ways.
    """

    arm: str
    seed: int
    kind: str
    recipe: Recipe
    folder: Path | None = None
    probe: str = LINEAR

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{safe(self.arm)}-s{self.seed}"

    @property
    def source(self) -> str:
        """The name in files of what does not depend on the probe."""
        return self.key if self.probe == LINEAR else f"{safe(self.arm.removesuffix(f', {self.probe}'))}-s{self.seed}"

    def read_by(self, probe: str) -> "Subject":
        """The same encoder under another probe, an arm of its own."""
        return replace(self, arm=f"{self.arm}, {probe}", probe=probe)

    def encoder(self) -> Encoder:
        """The encoder: of the run, or fresh."""
        return self.recipe.build_encoder() if self.folder is None else Run.open(self.folder).encoder()


def find(places: Sequence[str]) -> list[Subject]:
    """The runs in the given folders: of a run, or of a study with all its arms and seeds; random weights come last.
    Runs that differ in their seed alone are trainings of one arm, wherever they lie.

    Raises:
        UserError: when a folder holds neither, a run is not finished, or the runs do not read pictures alike.
    """
    if not places:
        raise UserError("no run was given", "give the folder of one")
    out: list[Subject] = []
    for place in places:
        found = _of(Path(place))
        taken = {s.arm for s in found for t in out if t.arm == s.arm and not _again(s, t)}
        tag = Path(place).resolve().name
        out += [replace(s, arm=f"{s.arm} ({tag})") if s.arm in taken else s for s in found]
    keys = [s.key for s in out]
    if twice := {k for k in keys if keys.count(k) > 1}:
        raise UserError(f"{sorted(twice)[0]} was given twice", "give each run once")
    first = out[0].recipe
    for s in out[1:]:
        if dict(s.recipe.prep) != dict(first.prep):
            mine, theirs = dict(s.recipe.prep), dict(first.prep)
            told = [
                {k: v for k, v in a.items() if b.get(k) != v and len(str(v)) < 99}
                for a, b in ((mine, theirs), (theirs, mine))
            ]
            raise UserError(
                f"{s.folder} reads items otherwise ({told[0]}) than {out[0].folder} does ({told[1]})",
                "compare runs of one size and form",
            )
    return out + _random(out)


def _again(a: Subject, b: Subject) -> bool:
    """Whether two are trainings of one arm with seeds of their own."""
    mine, theirs = ({k: v for k, v in s.recipe.numbers().items() if k != "seed"} for s in (a, b))
    return a.seed != b.seed and mine == theirs


def _of(place: Path) -> list[Subject]:
    if (place / CONFIG).is_file():
        run = _finished(place)
        return [Subject(str(run.recipe.method), run.recipe.seed, "trained", run.recipe, place)]
    runs = sorted((place / "runs").glob(f"*-s*/{CONFIG}")) if place.is_dir() else []
    if not runs:
        raise UserError(
            f"{place} holds neither a run nor a study", 'give what "unlabeled pretrain" or "unlabeled compare" wrote'
        )
    table = place / "summary.csv"
    names = {}
    if table.is_file():
        arms = pd.read_csv(table, dtype={"arm": str}, keep_default_na=False)["arm"].unique()
        names = {safe(str(a)): str(a) for a in arms}
    out = []
    for path in runs:
        stem, _, _ = path.parent.name.rpartition("-s")
        run = _finished(path.parent)
        out.append(Subject(names.get(stem, stem), run.recipe.seed, "trained", run.recipe, path.parent))
    return sorted(out, key=lambda s: (s.arm, s.seed))


def _finished(place: Path) -> Run:
    run = Run.open(place)
    if not run.finished:
        raise UserError(
            f"{place} stopped at step {run.step} of {run.recipe.steps}", "let it finish: run the same command again"
        )
    return run


def _random(subjects: Sequence[Subject]) -> list[Subject]:
    """The encoders in use with random weights, one for each seed."""
    tags = _build.tags([s.recipe.encoder for s in subjects])
    out: dict[tuple[str, int], Subject] = {}
    for s in subjects:
        name = RANDOM if len(tags) == 1 else f"{RANDOM}[{tags[str(s.recipe.encoder)]}]"
        out.setdefault((name, s.seed), Subject(name, s.seed, "random", s.recipe))
    return [out[key] for key in sorted(out)]


def data_for(data: str, subjects: Sequence[Subject]) -> tuple[Prepared, list[str]]:
    """The data as the runs read them, split as they split them, and a warning for each run that saw other items.

    Where the data bring no test split it is drawn by a seed; the one is taken under which the runs' own training items
    come out, so that no run has seen a test picture.
    """
    prep = read_prep(subjects[0].recipe.modality, subjects[0].recipe.prep)
    runs = [Run.open(s.folder) for s in subjects if s.folder is not None]
    told = [seed for run in runs if (seed := run.config.get("split")) is not None]
    seeds = dict.fromkeys([0, *told, *(run.recipe.seed for run in runs)])
    best: tuple[int, Prepared, list[str]] | None = None
    for seed in seeds:
        prepared = prepare(data, size=subjects[0].recipe.size, seed=seed, prep=prep)
        paths = prepared.table.items["path"].astype(str).tolist()
        code = fingerprint(paths, prepared.learning)
        strangers = [run for run in runs if run.config.get("items") != code]
        if strangers and prepared.given is not None:  # `compare` in turns has learnt from no labelled item
            code = fingerprint(paths, without_labelled(prepared))
            strangers = [run for run in strangers if run.config.get("items") != code]
        notes = [
            f"{run.folder} learnt from other items than those outside this test split"
            + (" (further unlabelled ones were added)" if run.config.get("unlabeled") else "")
            + ": if the test pictures are among them, it has seen them without labels."
            for run in strangers
        ]
        if best is None or len(notes) < best[0]:
            best = (len(notes), prepared, notes)
        if not notes:
            break
    if best is None:
        raise UserError(f"there is no run to read {data} for", "give the folder of a run")
    return best[1], best[2]
