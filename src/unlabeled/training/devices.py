"""Where the numbers are computed: device, precision, threads and ranks.

Many devices and machines are torch's own engine: `torchrun --nproc-per-node 2 -m unlabeled pretrain ...`.
Processes share a batch, but for batch norm, which each takes over its own part of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn

from unlabeled.encoders._fast import accelerate
from unlabeled.errors import UserError
from unlabeled.settings import Training
from unlabeled.training.threads import free_threads

Placed = TypeVar("Placed", bound=nn.Module)


@dataclass(frozen=True)
class Device:
    """One process's place in the computation.

    Args:
        device: where tensors live.
        precision: bf16 or float32, the type of matrix products.
        threads: CPU threads in use.
        rank: number of this process among `world`.
        world: number of processes.
    """

    device: torch.device
    precision: torch.dtype
    threads: int
    rank: int = 0
    world: int = 1

    @property
    def lead(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def autocast(self) -> Any:
        """The context in which matrix products run in the chosen precision."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    @contextmanager
    def lead_first(self) -> Iterator[None]:
        """Let the leading process through the block first; the others follow and find what it made."""
        if self.world > 1 and not self.lead:
            dist.barrier()
        yield
        if self.world > 1 and self.lead:
            dist.barrier()

    def agreed(self, number: int) -> int:
        """The leading process's number, in every process."""
        if self.world == 1:
            return number
        shared = torch.tensor([number], device=self.device)
        dist.broadcast(shared, 0)
        return int(shared.item())

    def place(self, module: Placed) -> Placed:
        """Move a module here, with convolutions laid out and computed as this device likes them; the same one."""
        module.to(self.device).to(memory_format=torch.channels_last)
        accelerate(module, device=self.device)
        return module


def open_device(training: Training) -> Device:
    """Choose device, precision and threads; join the process group when started by torchrun.

    Raises:
        UserError: when a CUDA device is asked for and there is none, or a device of which torch does not know.
    """
    if torch.get_default_dtype() != torch.float32:
        what = f"torch makes {torch.get_default_dtype()} unless told otherwise, and nets are learnt in float32 here"
        raise UserError(what, "call torch.set_default_dtype(torch.float32) before")
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    name = training.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device {name} was asked for and torch sees no CUDA device", "take --device cpu")
    try:
        device = torch.device(f"cuda:{local}" if name == "cuda" else name)
    except RuntimeError:
        raise UserError(f'there is no device "{name}"', "take auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f'nothing is computed on the device "{name}"', "take auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f'there is no device "{name}", torch sees {torch.cuda.device_count()}', "take a lower number")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    threads = training.threads or (1 if world > 1 else free_threads())
    torch.set_num_threads(threads)
    return Device(device, _precision(training.precision, device), threads, rank, world)


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    if wanted == "fp32":
        return torch.float32
    if wanted == "bf16":
        return torch.bfloat16
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    flags = (torch.cpu._is_amx_tile_supported(), torch.cpu._is_avx512_bf16_supported())
    return torch.bfloat16 if any(flags) else torch.float32
