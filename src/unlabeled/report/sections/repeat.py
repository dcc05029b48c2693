"""How to repeat the study: the exact command, and the file that holds every setting."""

from unlabeled.report.folder import Absent, Study
from unlabeled.report.section import Section

TITLE = "Repeat"


def section(study: Study) -> Section:
    """Gather command and settings; one of the two will do."""
    try:
        command = str(study.answer.get("command") or "")
    except Absent:
        command = ""
    try:
        config = study.text("config.yaml").strip()
    except Absent:
        if not command:
            raise
        config = ""
    return Section({"command": command, "config": config})
