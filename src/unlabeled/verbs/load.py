"""Open a model that was handed over: what it is, what it is worth, and in Python what predicts with it."""

from typing import TYPE_CHECKING, Literal

from unlabeled.deploy.model import Model, finds_faults, load_model
from unlabeled.errors import UserError

if TYPE_CHECKING:  # it imports torch, which a lone .onnx file does without
    from unlabeled.deploy.inspector import Inspector


def load(
    model: str,
    *,
    engine: Literal["auto", "torch", "onnx"] = "auto",
    threads: int = 0,
    coverage: float | None = None,
    false_alarms: float | None = None,
) -> "Model | Inspector":
    """Load a model, or a detector of faults; the data that it learnt from are not needed.

    Args:
        model: a .ul folder, an .onnx file that "unlabeled export" wrote, or the folder that "unlabeled detect" wrote.
        engine: torch, or onnx, which needs no torch; auto takes torch for a folder.
        threads: CPU threads; 0 leaves the engine's own number.
        coverage: another share of label sets that hold the true label than the model's own, 0 to 1.
        false_alarms: of a detector of faults another share of good items that may be flagged than its own, 0 to 1.

    Returns:
        The model: `predict`, `embed` and `similar` take paths, pictures, arrays and data frames. Of detect the
        detector: `predict` says which pictures are faulty and why, `maps` where.

    Raises:
        UserError: when it is no model, is damaged, or was written by a version that this one cannot read.

    Example:
        unlabeled load steel.ul
        unlabeled load unlabeled-good-faults
    """
    if finds_faults(model):
        if engine == "onnx" or coverage is not None:
            raise UserError(
                f"{model} is a detector of faults, without onnx and label sets", "leave these settings away"
            )
        from unlabeled.deploy.inspector import load_inspector

        return load_inspector(model, threads=threads, false_alarms=false_alarms)
    if false_alarms is not None:
        raise UserError(f"{model} knows classes and has no rate of false alarms", "leave it away")
    return load_model(model, engine=engine, threads=threads, coverage=coverage)
