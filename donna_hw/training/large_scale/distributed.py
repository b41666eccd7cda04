"""The processes that torch's own launcher (torchrun) starts: who is who, and sums over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from donna_hw.errors import UnavailableError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DistributedContext:
    """This process among those that train together: its number from 0, how many there are, and torch's name of its device."""

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    @property
    def device_type(self) -> str:
        """`cpu` or `cuda`."""
        return self.device.split(":")[0]

    def all_reduce(self, values: Sequence[float]) -> list[float]:
        """Return each value summed over all processes."""
        if self.world_size == 1:
            return list(values)
        import torch
        from torch import distributed

        found = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(found)
        return [float(value) for value in found]

    def barrier(self) -> None:
        """Wait until every process is here."""
        self.all_reduce([0.0])

    def broadcast_buffers(self, module: nn.Module) -> None:
        """Give every process the first one's buffers, the statistics of batch-norm."""
        if self.world_size > 1:
            from torch import distributed

            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)


def read_rank_and_world_size() -> tuple[int, int]:
    """Return (this process's number, how many there are) as torch's launcher set them; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def distributed_context() -> Iterator[DistributedContext]:
    """Meet the other processes: one a GPU by NCCL, or on CPUs by gloo; alone, there is nobody to meet.

    Who has met already stays. Raises `UnavailableError` when there are more processes than GPUs.
    """
    import torch
    from torch import distributed

    number, count = read_rank_and_world_size()
    place, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if gpus and place >= gpus:
        raise UnavailableError("each process needs a GPU of its own", got=f"{gpus} GPUs", hint="lower --nproc-per-node")
    if gpus:
        torch.cuda.set_device(place)
    processes = DistributedContext(number, count, f"cuda:{place}" if gpus else "cpu")
    if count == 1 or distributed.is_initialized():
        yield processes
        return
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
