"""The answer: what the model says of the item, and which maps can be believed."""

from typing import Any

from unlabeled.report.section import Section

TITLE = "Answer"


def section(found: Any) -> Section:
    """Gather sentence, key figures, details, limits and how it was done."""
    f = found.figures
    head, colon, rest = str(f["sentence"]).partition(": ")
    if f["kind"] == "class":
        tiles = [(name, f"{100 * p:.0f} %", "probability") for name, p in f["classes"][:4]]
    elif f["kind"] == "embedding":
        tiles = [
            ("distance from the mean", f"{f['distance']:.2f}", "1 is usual"),
            ("training items nearer to the mean", f"{100 * f['farther_than']:.0f} %", ""),
        ]
    else:
        tiles = [
            ("cosine", f"{f['cosine']:.2f}".replace("-", "−"), "of the two embeddings"),
            ("pairs less alike", f"{100 * f['nearer_than']:.0f} %", "of random pairs of training items"),
        ]
    how = [f"run {f['run']}", "embeddings are centred and scaled by those of the training items"]
    return Section({
        "head": head + colon.strip(), "rest": rest, "tiles": tiles, "details": f["details"], "limits": f["limits"],
        "how": how, "command": f["command"],
    })  # fmt: skip
