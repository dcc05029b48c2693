"""What lies in a folder, and what is wrong with it."""

import shlex
from dataclasses import dataclass

from unlabeled.data import doctor
from unlabeled.data.doctor import Report
from unlabeled.data.kinds import kind
from unlabeled.data.scan import scan as index
from unlabeled.data.table import Table
from unlabeled.progress import count

MOST_CLASSES, WIDEST = 12, 40  # that are listed by name, and letters up to which their figures stand in a column


@dataclass(frozen=True)
class ScanResult:
    """What was found.

    Args:
        table: the items that can be read, one row each.
        report: what the doctor says.
        listed: whether `lines` lists the broken files instead.
        beside: the folder of further items without labels, "" for none.
    """

    table: Table
    report: Report
    listed: bool = False
    beside: str = ""

    def lines(self) -> list[str]:
        """The same for people: form, counts, classes, findings, and what to do next."""
        if self.listed:
            return [f"{b.path}: {b.reason}" for b in self.report.broken] or ["every file can be read"]
        facts = self.report.facts
        there = self.table.items["split"].value_counts()  # of what can be read
        splits = ", ".join(f"{there[split]:,} {split}" for split in facts["splits"] if split in there) or "none usable"
        out = [
            f"{self.table.root}: {self.table.form}, {self._count()} ({splits})",
            *self._kinds(),
            "",
        ]
        out += self.report.lines()
        remedy = self._next()
        return [*out, "", f"next: {remedy}"] if remedy else out

    def _count(self) -> str:
        many = kind(self.table.modality).what
        return count(len(self.table), many.removesuffix("s"), many)

    def _kinds(self) -> list[str]:
        facts = self.report.facts
        out = []
        if facts["classes"]:
            many = count(len(facts["classes"]), "class", "classes")
            out.append(f"{many}, {count(facts['labelled'], 'labelled item')}")
            some = [(" ".join(name.split()), parts) for name, parts in list(facts["classes"].items())[:MOST_CLASSES]]
            width = min(WIDEST, max(len(name) for name, _ in some))
            for name, parts in some:
                out.append(f"  {name:<{width}}  " + ", ".join(f"{n:,} {split}" for split, n in parts.items()))
            if len(facts["classes"]) > MOST_CLASSES:
                out.append(f"  and {len(facts['classes']) - MOST_CLASSES} more")
        else:
            out.append("no labels")
        if facts["groups"]:
            out.append(count(facts["groups"], "group"))
        if facts["domains"]:
            out.append("domains: " + ", ".join(f"{name} {n:,}" for name, n in facts["domains"].items()))
        if "variables" in facts:
            names, (low, usual, high) = facts["variables"], facts["lengths"]
            told = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            long = f"{high:,}" if low == high else f"{low:,} to {high:,} (mostly {usual:,})"
            out.append(f"{count(len(names), 'variable')} over {long} steps of {facts['step']:g}: {told}")
            if facts["statics"]:
                out.append(f"told once of each: {', '.join(facts['statics'])}")
        if "seconds" in facts:
            low, usual, high = facts["seconds"]
            rates = " and ".join(f"{rate:,} Hz" for rate in list(facts["rates"])[:3])
            minutes = facts["total_seconds"] / 60
            out.append(f"{low:.2f} to {high:.2f} s (mostly {usual:.2f}), {minutes:.1f} min in all, {rates}")
        if "words" in facts:
            low, usual, high = facts["words"]
            out.append(f"{low:,} to {high:,} words each, mostly {usual:,}")
        if "sizes" in facts:
            size = next(iter(facts["sizes"]), "unknown")
            depth = " and ".join(f"{bits} bit" for bits in facts["bits"])
            colour = " and ".join("grey" if c == 1 else "colour" for c in facts["channels"])
            out.append(f"{size} pixels{' mostly' if facts['different_sizes'] > 1 else ''}, {colour}, {depth}")
        return out

    def _next(self) -> str:
        root = shlex.quote(str(self.table.root))
        more = f" --unlabeled {shlex.quote(self.beside)}" if self.beside else ""
        if len(self.table) < 2:
            return ""
        labelled = len(self.report.facts["classes"]) > 1 or any(f.kind == "marks" for f in self.report.findings)
        first = kind(self.table.modality).first
        if labelled:
            return f"unlabeled compare {root} --methods {','.join(first)}{more}"
        return f"unlabeled pretrain {root} --method {first[0]}{more}"


def scan(data: str, *, broken: bool = False, deep: bool = True, unlabeled: str | None = None) -> ScanResult:
    """Say what is in a data set and what is wrong with it; nothing is changed.

    Args:
        data: folder, manifest (.csv, .parquet) or array file (.npz).
        broken: list the files that cannot be read, with the reasons.
        deep: decode the items and compare them; without it only names are read.
        unlabeled: another folder of items without labels.

    Returns:
        The table of items and the report.

    Raises:
        UserError: when there is no such path, or no item in it.

    Example:
        unlabeled scan steel/
    """
    table = index(data, unlabeled=unlabeled)
    report = doctor.examine(table, deep=deep or broken)
    return ScanResult(table.without(report.broken[len(table.broken) :]), report, broken, unlabeled or "")
