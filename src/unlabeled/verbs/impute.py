"""Does what a run has learnt tell values that are missing? Frozen features beside rules that look around the gap."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from unlabeled.ahead import scores
from unlabeled.ahead.forecast import called
from unlabeled.ahead.impute import LINE
from unlabeled.ahead.impute import impute as tell
from unlabeled.data.scan import scan
from unlabeled.report.ahead.page import Told, write
from unlabeled.settings import Training
from unlabeled.study.plan import folder_name
from unlabeled.study.record import write_csv, write_json
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs.forecast import table

LIMITS = (
    "Values are hidden at random; in life they are missing for reasons, and those errors may be larger.",
    "Errors count in units of the training data's spread, over hidden values that had been measured.",
    "Without a test part in the data, the run may have seen the values that are hidden here.",
)


@dataclass(frozen=True, eq=False)
class Filled:
    """What was found.

    Args:
        folder: where the tables and the page lie.
        sentence: the answer.
        details: a sentence for each share.
        summary: arm, share, metric, mean, sd, low, high, n, and the difference to the straight line with its interval.
        report: the page to open.
    """

    folder: Path
    sentence: str
    details: tuple[str, ...]
    summary: pd.DataFrame
    report: Path

    def lines(self) -> list[str]:
        """The answer, a table of errors, and where the page is."""
        return [self.sentence, *self.details, "", *table(self.summary, "share"), "", f"open {self.report}"]


def impute(
    runs: Sequence[str],
    data: str,
    *,
    shares: Sequence[float] = (0.125, 0.25, 0.5),
    hide: Literal["points", "blocks"] = "points",
    out: str | None = None,
    training: Training = Training(),
) -> Filled:
    """Hide values on purpose, tell them from a run's frozen features, and see whether plain rules do better.

    Args:
        runs: folders of runs on series, by commas; runs of one method with other seeds are taken together.
        data: the recordings that they learnt from, with their test part; without one the last fifth of each
            recording's time is tested on, or of short ones a fifth of the recordings (of the patients).
        shares: of the measured values that are hidden, by commas, each above 0 and below 1.
        hide: single values, or a stretch of each variable.
        out: folder for the results; named after the data when not given.
        training: device and threads.

    Raises:
        UserError: when the runs do not fit, or no recording is long enough.

    Example:
        unlabeled impute unlabeled-ward-mae ward.csv --shares 0.25 --hide blocks
    """
    device = open_device(training)
    opened = [Run.open(r) for r in runs]
    found = tell(opened, scan(data), shares, device, hide)
    folder = Path(out) if out else folder_name(data, "impute")
    summary = scores.summary(found.errors, dict.fromkeys(shares, found.groups), "share", LINE)
    learnt = list(dict.fromkeys(called(opened)))
    sentence, details = scores.sentence(summary, "share", LINE, learnt, _hidden)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "impute.csv", summary)
    answer: dict[str, Any] = {"sentence": sentence, "details": details, "limits": LIMITS}
    write_json(folder / "impute.json", answer | {"runs": list(runs), "data": data, "hide": hide})
    shown = dict(found.shown)
    true, hidden = shown.pop("true"), shown.pop("hidden")
    few = scores.to_draw(summary, LINE, learnt)
    drawn = {arm: guess.astype(float) for arm, guess in shown.items() if arm in few}
    for guess in drawn.values():
        guess[~hidden] = float("nan")
    lead = "What was measured, and what the arms told where it was hidden, for windows of the test part."
    page = Told(answer, summary, "share", true, drawn, None, lead, found.variables)
    return Filled(
        folder, sentence, tuple(details), summary, write(page, folder / "impute.html", Path(data).resolve().name)
    )


def _hidden(share: float) -> str:
    return f"{100 * share:g} % hidden"
