"""The answer in a sentence, with what else was found and what it does not show."""

from typing import Any

from unlabeled.report.section import Section

TITLE = "Answer"


def section(source: Any) -> Section:
    """Gather the sentences."""
    return Section({key: source.answer[key] for key in ("sentence", "details", "limits")})
