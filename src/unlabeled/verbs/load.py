"""Open a model that was handed over: what it is, what it is worth, and in Python what predicts with it."""

from typing import Literal

from unlabeled.deploy.model import Model, load_model


def load(
    model: str,
    *,
    engine: Literal["auto", "torch", "onnx"] = "auto",
    threads: int = 0,
    coverage: float | None = None,
) -> Model:
    """Load a model; the data that it learnt from are not needed.

    Args:
        model: a .ul folder, or an .onnx file that "unlabeled export" wrote.
        engine: torch, or onnx, which needs no torch; auto takes torch for a folder.
        threads: CPU threads; 0 leaves the engine's own number.
        coverage: another share of label sets that hold the true label than the model's own, 0 to 1.

    Returns:
        The model: `predict`, `embed` and `similar` take paths, pictures, arrays and data frames.

    Raises:
        UserError: when it is no model, is damaged, or was written by a version that this one cannot read.

    Example:
        unlabeled load steel.ul
    """
    return load_model(model, engine=engine, threads=threads, coverage=coverage)
