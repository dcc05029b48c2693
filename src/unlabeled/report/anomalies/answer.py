"""The answer: what is found at the rate of false alarms that was chosen, and what that does not show."""

from unlabeled.progress import count
from unlabeled.report.anomalies.inspected import Inspected, span
from unlabeled.report.section import Section

TITLE = "Answer"


def section(found: Inspected) -> Section:
    """Gather sentence, key figures, details, limits and how it was done."""
    f = found.figures
    head, colon, rest = str(f["sentence"]).partition(": ")
    tiles, over_time = [], f.get("modality") == "series"
    what, where = ("windows", "steps") if over_time else ("items", "places")
    if "images" in f:
        every, alarms = f["images"]["all"], f["false_alarms"]
        sure, area = span(every, "found", 0, 100), span(every, "auroc", 3)
        sure += " %" if sure else ""
        between = f"{100 * alarms['low']:.1f} to {100 * alarms['high']:.1f} %"
        tiles = [
            (
                f"faulty {what} found",
                f"{100 * every['found']:.0f} %",
                "; ".join(p for p in (sure, f"of {f['faulty']}") if p),
            ),
            ("false alarms", f"{100 * alarms['share']:.1f} %", f"{between}; {100 * f['rate']:g} % allowed"),
            (f"AUROC of {what}", f"{every['auroc']:.3f}", "; ".join(p for p in (area, f"F1 {every['f1']:.3f}") if p)),
        ]
        if pixels := f["pixels"].get("all"):
            tiles.append((f"AUROC of {where}", f"{pixels['auroc']:.3f}", f"PRO {pixels['pro']:.3f}"))
    how = [
        count(f["learnt_from"], f"good {what[:-1]} was", f"good {what} were") + " learnt from",
        f"each set the threshold as judged by the one of {f['folds']} networks that has not seen it"
        if f.get("folds")
        else count(f["kept_apart"], "other sets", "others set") + " the threshold",
        f"detector {f['detector']}" + (f", encoder {f['encoder']} taught by {f['method']}" if f["run"] else ""),
        f"{'windows' if over_time else 'view'} of {f['view']} {'steps' if over_time else 'pixels'}, seed {f['seed']}",
    ]
    return Section({
        "head": head + colon.strip(), "rest": rest, "tiles": tiles, "details": f["details"], "limits": f["limits"],
        "how": how, "command": f["command"],
    })  # fmt: skip
