"""Tell what is wrong with a data set before anything is learnt from it, in sentences, with the names of the files.

Every file is looked at in sets of up to 20,000 items, an even sample of larger ones, and the report says so. Findings
are signs to look at, not proofs; how far the checks that turn pictures can be trusted stands in `likeness`.
"""

from dataclasses import asdict, dataclass
from typing import Any

from unlabeled.data import checks, likeness, owners
from unlabeled.data.checks import Finding as Finding
from unlabeled.data.checks import spread
from unlabeled.data.kinds import kind
from unlabeled.data.pictures import thumbs
from unlabeled.data.splits import unit_numbers
from unlabeled.data.store import Store
from unlabeled.data.table import Broken, Table
from unlabeled.progress import count


@dataclass(frozen=True)
class Report:
    """What the doctor found, worst first; the plain facts; and the files that cannot be read."""

    findings: list[Finding]
    facts: dict[str, Any]
    broken: tuple[Broken, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it as plain lists and dictionaries."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The findings for people."""
        out = []
        for finding in self.findings:
            out.append(f"{finding.severity}: {finding.text}")
            out += [f"    {example}" for example in finding.examples]
        return out or ["nothing was found that stands in the way"]


def examine(table: Table, *, store: Store | None = None, deep: bool = True) -> Report:
    """Look for everything that spoils a comparison.

    Args:
        table: the items.
        store: their decoded form where it is there already, which saves opening most files again.
        deep: look at the items; without it only at names, labels, groups and splits.
    """
    findings = [*checks.groups(table), *owners.examine(table), *checks.classes(table), *checks.dates(table)]
    findings += [Finding("aside", "info", note) for note in table.notes]
    facts = checks.counts(table)
    broken = table.broken
    if deep:
        found, more, bad = kind(table.modality).examine(table, store)
        findings, facts, broken = [*findings, *found], facts | more, (*broken, *bad)
    return _report(table, findings, facts, broken)


def _report(table: Table, findings: list[Finding], facts: dict[str, Any], broken: tuple[Broken, ...]) -> Report:
    facts["broken"] = len(broken)
    files = len(table) + len(table.broken)
    if broken:
        worst = len(broken) == files
        left = "is left out" if len(broken) == 1 else "are left out"
        some = f"{len(broken):,} of {count(files, 'file')} cannot be read and {left}"
        text = "no file can be read" if worst else some
        examples = [f"{b.path}: {b.reason}" for b in broken[: checks.SHOWN]]
        findings.append(Finding("broken", "error" if worst else "warning", text, examples))
    order = ("error", "warning", "info")
    return Report(sorted(findings, key=lambda f: order.index(f.severity)), facts, broken)


def flips(table: Table, store: Store) -> dict[str, bool]:
    """Which mirror images are safe in training views; no test item is looked at.

    Left-right is safe unless it exchanges classes or looks foreign to the data; up-down only where pictures upside down
    look as much at home as before (steel, cells seen from above).

    Returns:
        `horizontal_flip` and `vertical_flip`.
    """
    rows = spread(table.rows(*checks.LEARN), checks.TURNED)
    if len(rows) < 5 * likeness.FEWEST:
        return {"horizontal_flip": True, "vertical_flip": False}
    brightness = likeness.grey(thumbs(store, rows))
    found = {t.name: t for t in likeness.turned(brightness, table.labels[rows], unit_numbers(table, rows))}
    aside, over = found["left-right mirror image"], found["mirror image upside down"]
    return {
        "horizontal_flip": not aside.swaps and aside.foreign < likeness.FOREIGN,
        "vertical_flip": not over.swaps and over.foreign < likeness.NATURAL,
    }
