"""Items as a study or a run will learn from them, prepared as the place where learning begins wants them."""

from unlabeled.data.prepare import Prepared, prepare, read_prep
from unlabeled.data.scan import scan
from unlabeled.errors import UserError
from unlabeled.settings import Setup
from unlabeled.training.run import fingerprint
from unlabeled.training.start import Start


def prepared_for(data: str, setup: Setup) -> tuple[Prepared, Start | None]:
    """The items, and the start where one was named: items are then prepared as its own were, or by its tokenizer.

    Raises:
        UserError: when the data or the start cannot be used, or do not go together.
    """
    if not setup.start:
        found = prepare(
            data, size=setup.size, unlabeled=setup.unlabeled, tokenizer=setup.tokenizer, seed=setup.seed,
            step=setup.step, stride=setup.stride,
        )  # fmt: skip
        return found, None
    start, table = Start.of(setup.start), scan(data, unlabeled=setup.unlabeled)
    if table.modality != start.modality:
        raise UserError(
            f"{setup.start} looks at {start.modality}, {data} holds {table.modality}", "give a start of its kind"
        )
    if start.prep is None:
        folder = setup.tokenizer or str(start.folder)
        return prepare(table, size=setup.size, tokenizer=folder, seed=setup.seed), start
    for name in ("step", "tokenizer"):
        if given := getattr(setup, name):
            raise UserError(
                f"--{name} {given} was given beside --start", f"leave --{name} out: the start's own is taken"
            )
    prep = read_prep(start.modality, start.prep)
    return prepare(table, size=setup.size or start.size, prep=prep, seed=setup.seed, stride=setup.stride), start


def seen_before(start: Start | None, prepared: Prepared) -> list[str]:
    """What is to be said where the place where learning begins may have learnt from test items; else nothing."""
    if start is None or start.prep is None:
        return []
    paths = prepared.table.items["path"].astype(str).tolist()
    if start.items == fingerprint(paths, prepared.learning):
        return []
    return [
        f"{start.folder} has learnt from {start.data or 'items that it does not name'}, not from just the items "
        "outside this test split: if test items are among them, it has seen them without labels."
    ]
