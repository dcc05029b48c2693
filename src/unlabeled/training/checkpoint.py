"""One safetensors file holds all of a run's state: weights, optimizer, step. No pickle is written or read.

Tensors are named `model/...` and `optimizer/<parameter number>/<state>`; the header is JSON. The file is written
beside and renamed into
place, so a kill at any moment leaves the last whole one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from unlabeled.disk import written
from unlabeled.errors import UserError


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, header: Mapping[str, Any]) -> None:
    """Write model, optimizer and a JSON-able header to `path`, atomically and flushed to the disk."""
    tensors = {f"model/{k}": v.detach().cpu().contiguous().clone() for k, v in model.state_dict().items()}
    if optimizer is not None:
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensor = value if isinstance(value, Tensor) else torch.tensor(value)
                tensors[f"optimizer/{number}/{key}"] = tensor.detach().cpu().contiguous().clone()
    beside = path.with_name(path.name + ".part")
    try:
        written(beside, lambda file: save_file(tensors, file, {"header": json.dumps(dict(header))}))
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def header(path: Path) -> dict[str, Any]:
    """The JSON header of a checkpoint.

    Raises:
        UserError: when the file is not a checkpoint of this program.
    """
    try:
        with safe_open(path, "np") as handle:  # "pt" opens it twice, and a run may put a new one there in between
            return dict(json.loads((handle.metadata() or {})["header"]))
    except (SafetensorError, KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(f"cannot read {path} ({error})", "give the folder of a run, or train it again") from error


def weights(path: Path, part: str = "") -> dict[str, Tensor]:
    """The tensors of the model, or of one part of it such as `encoder`, by their names in it.

    Raises:
        UserError: when the file is not a checkpoint of this program.
    """
    header(path)
    prefix = f"model/{part}." if part else "model/"
    with safe_open(path, "pt") as handle:
        names = [n for n in handle.keys() if n.startswith(prefix)]  # noqa: SIM118 (not a mapping)
        return {n.removeprefix(prefix): handle.get_tensor(n) for n in names}


def load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> dict[str, Any]:
    """Put a checkpoint's tensors into model and optimizer and return its header.

    Raises:
        UserError: when the file does not fit the model.
    """
    head = header(path)
    weights: dict[str, Tensor] = {}
    states: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as handle:
        for name in handle.keys():  # noqa: SIM118 (not a mapping)
            part, _, rest = name.partition("/")
            if part == "model":
                weights[rest] = handle.get_tensor(name)
            else:
                number, _, key = rest.partition("/")
                states.setdefault(int(number), {})[key] = handle.get_tensor(name)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{path} does not fit this model ({str(error).splitlines()[0]})", "use the settings it was trained with"
        ) from error
    if optimizer is not None:
        whole = optimizer.state_dict()
        whole["state"] = states
        optimizer.load_state_dict(whole)
        _lay_out_as_parameters(optimizer)
    return head


def _lay_out_as_parameters(optimizer: torch.optim.Optimizer) -> None:
    """Give each state tensor the memory layout of its parameter, as it had when it was made: fused kernels ask for
    it.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for key, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    optimizer.state[parameter][key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
