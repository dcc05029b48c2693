"""ONNX Runtime, from the one exported file; torch is not imported."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from unlabeled.deploy.bundle import sound
from unlabeled.deploy.engines import Answers
from unlabeled.errors import UserError

FACTS = "unlabeled"  # name of the file's own metadata


class Onnx:
    """An exported model.

    Args:
        file: the `.onnx` file.
        threads: CPU threads; 0 leaves the choice to the runtime.

    Attributes:
        facts: what the file says of itself: classes, input, limits.

    Raises:
        UserError: when the runtime is not installed, or the file is none of ours.
    """

    facts: Mapping[str, Any]

    def __init__(self, file: Path, *, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            raise UserError("onnxruntime is not installed", 'pip install "unlabeled[export]"') from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            self.facts = json.loads(self.session.get_modelmeta().custom_metadata_map[FACTS])
        except KeyError:
            raise UserError(f"{file} was not exported by unlabeled", "give what unlabeled export wrote") from None
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise UserError(f"cannot read {file} ({first})", "export it again") from error
        sound(self.facts, file)
        self.name = self.session.get_inputs()[0].name

    def run(self, raw: np.ndarray) -> Answers:
        """Answers on raw items (N, ...)."""
        found = self.session.run(["probabilities", "features", "strangeness"], {self.name: np.ascontiguousarray(raw)})
        return Answers(*found)
