"""Pictures that a method painted from what it could see: the original, the part it saw, and its guess."""

from unlabeled.report.folder import Study
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Reconstructions"
KEYS = ("original", "masked", "reconstructed")
MOST = 8


def section(study: Study) -> Section | None:
    """Gather the pictures of every method that paints; None where there is none."""
    arms = []
    for name, arrays in study.pictures("reconstructions", KEYS):
        items = [{key: uri(arrays[key][i]) for key in KEYS} for i in range(min(MOST, len(arrays["original"])))]
        arms.append({"name": name, "pictures": items})
    return Section({"arms": arms}) if arms else None
