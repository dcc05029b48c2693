"""How the page names, orders and colours things, and how it writes numbers."""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from unlabeled.progress import in_percent

METHODS = "method"
PLAIN = ("pca", "statistics", "kernels", "gaps")  # rules without learning
BASELINES: Mapping[str, str] = {k: k for k in ("supervised", "random", *PLAIN)}  # kind: CSS colour
COLOURS = 6  # --c0 to --c5
PROTOCOLS: Mapping[str, str] = {
    "linear": "linear probe",
    "knn": "nearest neighbours",
    "finetune": "fine-tuning",
    "propagate": "label propagation",
    "styled": "probe on several styles",
    "cluster": "named clusters",
}


@dataclass(frozen=True)
class Metric:
    """A figure of merit: heading, whether it is a share (shown in percent), whether more is better, what it says."""

    name: str
    title: str
    share: bool
    up: bool
    meaning: str

    def show(self, value: float) -> str:
        """A value as it stands in a table.

        >>> METRICS["accuracy"].show(0.9713)
        '97.1'
        """
        if not math.isfinite(value):
            return "–"
        return in_percent(value) if self.share else f"{value:.3f}"


METRICS: Mapping[str, Metric] = {
    m.name: m
    for m in (
        Metric("accuracy", "Accuracy", True, True, "share of the test items that are right"),
        Metric("macro_f1", "Macro F1", True, True, "F1, every class counting the same"),
        Metric("sensitivity", "Sensitivity", True, True, "share of a class that is found, mean over classes"),
        Metric("specificity", "Specificity", True, True, "share of the others that is left alone, mean over classes"),
        Metric("auroc", "AUROC", True, True, "how often an item of a class ranks above one of another"),
        Metric("auprc", "AUPRC", True, True, "average precision; of two classes that of the rarer one"),
        Metric("nmi", "Mutual information", False, True, "normalised, of the answers with the classes; 1 is the same"),
        Metric("ari", "Adjusted Rand", False, True, "pairs put together and apart as the classes are; 0 is chance"),
        Metric(
            "ece", "Calibration error", True, False, "mean distance between confidence and accuracy; less is better"
        ),
        Metric("nll", "Log loss", False, False, "surprise at the truth in nats; less is better"),
        Metric("brier", "Brier score", False, False, "squared error of the probabilities; less is better"),
    )
}


@dataclass(frozen=True)
class Contender:
    """An arm together with the way its labels are used.

    Args:
        arm: as the study calls it: `simclr`, `random[vit]`.
        protocol: as the study writes it: `linear`, `finetune(encoder_lr=0)`.
        colour: CSS colour of the arm.
    """

    arm: str
    protocol: str
    colour: str

    @property
    def kind(self) -> str:
        """`method`, `supervised`, `random`, or the name of a rule such as `pca`."""
        word = self.arm.partition("[")[0]
        return word if word in BASELINES else METHODS

    @property
    def how(self) -> str:
        """The protocol in words."""
        return protocol(self.protocol)

    @property
    def name(self) -> str:
        """The contender in a list: `simclr, linear probe`."""
        return f"{self.arm}, {self.how}"

    @property
    def phrase(self) -> str:
        """The contender in a sentence: `simclr with a linear probe`."""
        return f"{self.arm} with {'a ' if self.protocol.startswith('linear') else ''}{self.how}"


def protocol(text: str) -> str:
    """A protocol in words.

    >>> protocol("knn"), protocol("finetune(encoder_lr=0)")
    ('nearest neighbours', 'fine-tuning (encoder_lr=0)')
    """
    word, _, settings = text.partition("(")
    return PROTOCOLS.get(word, word) + (f" ({settings}" if settings else "")


def interval(low: float, high: float, metric: Metric) -> str:
    """The two ends as they stand in a table, or nothing where they are not defined.

    >>> interval(0.912, 0.954, METRICS["accuracy"])
    '91.2 to 95.4'
    """
    return f"{metric.show(low)} to {metric.show(high)}" if math.isfinite(low) and math.isfinite(high) else ""


def signed(value: float) -> str:
    """A difference with its sign, a real minus.

    >>> signed(3.04), signed(-0.5)
    ('+3.0', '−0.5')
    """
    return f"{value:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """A time a person can grasp.

    >>> duration(42), duration(380), duration(9000)
    ('42 s', '6 min', '2 h 30 min')
    """
    if not math.isfinite(seconds):
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def day(iso: str) -> str:
    """A date for people; text that is no date stays as it is.

    >>> day("2026-11-21T08:47:42+00:00")
    '21 November 2026'
    """
    try:
        return datetime.fromisoformat(iso).strftime("%d %B %Y").lstrip("0")
    except ValueError:
        return iso


def label(text: str, most: int = 0) -> str:
    """Text for a figure, cut when longer than `most`; plotly reads some HTML there, so what comes from data is escaped.

    >>> label("<b>bold</b>"), label("inclusion of slag", 9)
    ('&lt;b&gt;bold&lt;/b&gt;', 'inclusio…')
    """
    short = text if not most or len(text) <= most else text[: most - 1] + "…"
    return html.escape(short, quote=False)
