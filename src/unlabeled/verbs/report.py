"""The page of a study, written again from its folder."""

from dataclasses import dataclass
from pathlib import Path

from unlabeled.report.page import write


@dataclass(frozen=True)
class ReportResult:
    """A written page.

    Args:
        page: where it lies.
        megabytes: how big it is.
    """

    page: Path
    megabytes: float

    def lines(self) -> list[str]:
        """What a person wants to know."""
        return [f"open {self.page} ({self.megabytes:.1f} MB, needs no network and no other file)"]


def report(study: str, *, out: str | None = None) -> ReportResult:
    """Write the page of a study again, from its folder alone; nothing is computed anew.

    Args:
        study: folder that "unlabeled compare" wrote.
        out: file to write; report.html in the folder when not given.

    Returns:
        The page and its size.

    Raises:
        UserError: when the folder is not there or holds no study.

    Example:
        unlabeled report unlabeled-steel-study
    """
    page = write(Path(study), Path(out) if out else None)
    return ReportResult(page, page.stat().st_size / 1e6)
