"""What a run of texts can do beside telling classes: likeness, what follows what, bits per byte."""

from dataclasses import dataclass

from unlabeled.errors import UserError
from unlabeled.settings import Training
from unlabeled.study.words import scores
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run


@dataclass(frozen=True)
class Gauge:
    """What was measured.

    Args:
        run: the run's folder.
        data: what it was measured on.
        scores: names and numbers.
    """

    run: str
    data: str
    scores: dict[str, float]

    def lines(self) -> list[str]:
        """A line a number."""
        told = [f"{k}: {v:,.0f}" if v.is_integer() and v > 1 else f"{k}: {v:.4f}" for k, v in self.scores.items()]
        return [f"{self.run} on {self.data}", *told]


def gauge(run: str, data: str, *, device: str = "auto") -> Gauge:
    """Measure a run of texts on what it has not learnt from.

    A table of scored pairs (sentence1, sentence2, score) gives Spearman's correlation and retrieval, a run of nsp the
    share of parts that are told right, a run of causal_lm the bits per byte of a plain text.

    Args:
        run: folder of a finished run.
        data: a table of pairs; a folder of running text; or a plain text.
        device: auto, cpu, cuda or cuda:N.

    Raises:
        UserError: when the run or the data cannot be used so.

    Example:
        unlabeled gauge unlabeled-news-simcse sts/test.csv
    """
    trained = Run.open(run)
    if not trained.finished:
        raise UserError(f"{run} stopped at step {trained.step} of {trained.recipe.steps}", "let it finish")
    return Gauge(run, data, scores(trained, data, open_device(Training(device=device))))
