"""New pictures that a method drew from mere chance."""

from unlabeled.report.folder import Absent, Study, safe
from unlabeled.report.pictures import uri
from unlabeled.report.section import Section

TITLE = "Drawn pictures"
MOST = 24


def section(study: Study) -> Section | None:
    """Gather the pictures of every method that draws; None where there is none."""
    files = sorted(study.path.glob("generated-*.npz"))
    if not files:
        return None
    try:
        names = {safe(arm): arm for arm in study.summary["arm"].unique()}
    except Absent:
        names = {}
    arms = []
    for file in files:
        arrays = study.arrays(file.name)
        if "pictures" not in arrays:
            raise Absent(f"{file.name} does not hold pictures")
        stem = file.stem.removeprefix("generated-")
        arms.append({"name": names.get(stem, stem), "pictures": [uri(p) for p in arrays["pictures"][:MOST]]})
    return Section({"arms": arms})
