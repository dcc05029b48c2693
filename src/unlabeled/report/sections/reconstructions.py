"""Pictures that a method painted from what it could see: the original, the part it saw, and its guess."""

from unlabeled.report.folder import Absent, Study, safe
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Reconstructions"
KEYS = ("original", "masked", "reconstructed")
MOST = 8


def section(study: Study) -> Section | None:
    """Gather the pictures of every method that paints; None where there is none."""
    files = sorted(study.path.glob("reconstructions-*.npz"))
    if not files:
        return None
    try:
        names = {safe(arm): arm for arm in study.summary["arm"].unique()}
    except Absent:
        names = {}
    arms = []
    for file in files:
        arrays = study.arrays(file.name)
        if any(key not in arrays for key in KEYS):
            raise Absent(f"{file.name} does not hold the pictures {', '.join(KEYS)}")
        stem = file.stem.removeprefix("reconstructions-")
        items = [{key: uri(arrays[key][i]) for key in KEYS} for i in range(min(MOST, len(arrays["original"])))]
        arms.append({"name": names.get(stem, stem), "pictures": items})
    return Section({"arms": arms})
