"""New pictures that a method drew from mere chance."""

from unlabeled.report.folder import Study
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Drawn pictures"
MOST = 24


def section(study: Study) -> Section | None:
    """Gather the pictures of every method that draws; None where there is none."""
    found = study.pictures("generated", ("pictures",))
    arms = [{"name": name, "pictures": [uri(p) for p in arrays["pictures"][:MOST]]} for name, arrays in found]
    return Section({"arms": arms}) if arms else None
