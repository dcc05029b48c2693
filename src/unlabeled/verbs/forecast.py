"""Does what a run has learnt tell what comes next? Frozen features beside rules that look at the values alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from unlabeled import progress
from unlabeled.ahead import scores
from unlabeled.ahead.forecast import LINEAR, called
from unlabeled.ahead.forecast import forecast as foretell
from unlabeled.data.scan import scan
from unlabeled.report.ahead.page import Told, write
from unlabeled.settings import Training
from unlabeled.study.plan import folder_name
from unlabeled.study.record import write_csv, write_json
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run

LIMITS = (
    "Errors count in units of the training data's spread; windows that overlap are drawn together in the intervals.",
    "The map on the features is linear and sees one window; models that are trained to forecast may do better.",
    "Without a test part in the data, the run has seen windows of the time that is tested on, without their futures.",
)


@dataclass(frozen=True, eq=False)
class Foretold:
    """What was found.

    Args:
        folder: where the tables and the page lie.
        sentence: the answer.
        details: a sentence for each horizon.
        summary: arm, horizon, metric, mean, sd, low, high, n, and the difference to the linear rule with its interval.
        season: steps after which the variables repeat, 0 where they do not.
        report: the page to open.
    """

    folder: Path
    sentence: str
    details: tuple[str, ...]
    summary: pd.DataFrame
    season: int
    report: Path

    def lines(self) -> list[str]:
        """The answer, a table of squared errors, and where the page is."""
        return [self.sentence, *self.details, "", *table(self.summary, "horizon"), "", f"open {self.report}"]


def forecast(
    runs: Sequence[str],
    data: str,
    *,
    horizons: Sequence[int] = (24, 168),
    stride: int = 1,
    out: str | None = None,
    training: Training = Training(),
) -> Foretold:
    """Tell what comes next from a run's frozen features, and see whether plain rules do better.

    A linear map from the features gives every step up to the horizon. Beside it: the same map from each variable's own
    past, from an untrained encoder's features, the last season, the last value. Test recordings are looked at once.

    Args:
        runs: folders of runs on series, by commas; runs of one method with other seeds are taken together.
        data: the recordings that they learnt from, with their test part; without one the last fifth of each
            recording's time is tested on, or of short ones a fifth of the recordings (of the patients).
        horizons: steps ahead, by commas.
        stride: steps from one window to the next, 1 or more.
        out: folder for the results; named after the data when not given.
        training: device and threads.

    Raises:
        UserError: when the runs do not fit, or no recording is long enough.

    Example:
        unlabeled forecast unlabeled-power-ts2vec power.csv --horizons 24,168
    """
    device = open_device(training)
    opened = [Run.open(r) for r in runs]
    found = foretell(opened, scan(data), horizons, device, max(1, stride))
    folder = Path(out) if out else folder_name(data, "forecast")
    summary = scores.summary(found.errors, found.groups, "horizon", LINEAR)
    learnt = list(dict.fromkeys(called(opened)))
    sentence, details = scores.sentence(summary, "horizon", LINEAR, learnt, _ahead)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "forecast.csv", summary)
    answer: dict[str, Any] = {"sentence": sentence, "details": details, "limits": LIMITS}
    write_json(folder / "forecast.json", answer | {"season": found.season, "runs": list(runs), "data": data})
    shown = dict(found.shown)
    past, true = shown.pop("past"), shown.pop("true")
    shown = {arm: shown[arm] for arm in scores.to_draw(summary, LINEAR, learnt)}
    lead = "What went before, what happened, and what was told of it, for windows of the test part."
    page = Told(answer, summary, "horizon", true, shown, past, lead, found.variables)
    report = write(page, folder / "forecast.html", Path(data).resolve().name)
    return Foretold(folder, sentence, tuple(details), summary, found.season, report)


def _ahead(horizon: float) -> str:
    return f"{progress.count(horizon, 'step')} ahead"


def table(summary: pd.DataFrame, by: str) -> list[str]:
    """Squared and absolute errors for a terminal, best first."""
    marks = [(m, v) for m in ("mse", "mae") for v in sorted(summary[by].unique().tolist())]
    means = {(r["arm"], r["metric"], r[by]): r["mean"] for r in summary.to_dict("records")}
    arms = list(dict.fromkeys(summary["arm"]))
    arms.sort(key=lambda arm: sum(means.get((arm, m, v), float("inf")) for m, v in marks))
    out = [f"{'':<28}" + "".join(f"{m} {v:g}".rjust(12) for m, v in marks)]
    cells = ["".join(f"{means.get((arm, m, v), float('nan')):>12.3f}" for m, v in marks) for arm in arms]
    return [*out, *(f"{arm[:27]:<28}{row}" for arm, row in zip(arms, cells, strict=True))]
