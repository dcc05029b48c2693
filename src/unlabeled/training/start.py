"""Where learning begins when not from random weights: the encoder of a finished run, or a local Hugging Face folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unlabeled import catalog
from unlabeled.encoders import Encoder
from unlabeled.encoders._words import WordEncoder, configuration
from unlabeled.errors import UserError
from unlabeled.training import checkpoint

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True)
class Start:
    """What a start asks of the run that begins there.

    Args:
        folder: where the weights lie.
        encoder: that they fit.
        modality: what it looks at.
        prep: how its items were prepared, of a run; None for a Hugging Face folder.
        size: of the views it learnt from, of a run.
        data: what it learnt from, as the path was given, of a run.
        items: the fingerprint of the items it learnt from, of a run.
    """

    folder: Path
    encoder: catalog.Spec
    modality: str
    prep: Mapping[str, Any] | None
    size: int = 0
    data: str = ""
    items: str = ""

    @classmethod
    def of(cls, folder: str) -> "Start":
        """Look into a folder.

        Raises:
            UserError: when it holds neither a finished run nor a model that we know.
        """
        path = Path(folder)
        values = configuration(path)
        if "recipe" in values:
            known = values["recipe"]
            step = checkpoint.header(path / CHECKPOINT)["step"] if (path / CHECKPOINT).is_file() else 0
            if step < known["steps"]:
                raise UserError(f"{folder} stopped at step {step} of {known['steps']}", "let it finish first")
            encoder = catalog.Spec(known["encoder"]["name"], known["encoder"]["settings"])
            seen = {name: str(values.get(name) or "") for name in ("data", "items")}
            return cls(path, encoder, known["modality"], known["prep"], known["size"], **seen)
        for name in catalog.names("encoders"):
            kind = catalog.load("encoders", name)
            if issubclass(kind, WordEncoder) and kind.architecture == values.get("model_type"):
                return cls(path, catalog.Spec(name, kind.settings_of(path)), "text", None)
        raise UserError(f"{folder} holds a model of the kind {values.get('model_type')}", "give a bert or a gpt2")


def begin(encoder: Encoder, folder: str) -> None:
    """Give an encoder the weights that lie in a folder.

    Raises:
        UserError: when they do not fit.
    """
    start = Start.of(folder)
    if start.prep is None:
        if isinstance(encoder, WordEncoder):
            encoder.take(start.folder)
            return
        raise UserError(f"{folder} holds an encoder of texts", "start from it on texts")
    try:
        encoder.load_state_dict(checkpoint.weights(start.folder / CHECKPOINT, "encoder"))
    except RuntimeError as error:
        reason = (str(error).splitlines() or [""])[-1].strip()
        raise UserError(
            f"the encoder of {folder} does not fit this one ({reason})",
            f"take {start.encoder}, and --size {start.size}",
        ) from None
