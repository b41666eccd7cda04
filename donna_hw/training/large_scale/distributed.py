"""The processes that torch's own launcher (torchrun) starts: the rank of each, and sums over all of them."""

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
    """One of the processes that train together: its rank from 0, their number, and the name of its torch device."""

    rank: int = 0
    world_size: int = 1
    device: str = "cpu"

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
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

        totals = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(totals)
        return [float(total) for total in totals]

    def barrier(self) -> None:
        """Wait until every process has called this."""
        self.all_reduce([0.0])

    def broadcast_buffers(self, module: nn.Module) -> None:
        """Copy the buffers of the first process, the statistics of batch-norm, to all processes."""
        if self.world_size > 1:
            from torch import distributed

            for buffer in module.buffers():
                distributed.broadcast(buffer, 0)


def read_rank_and_world_size() -> tuple[int, int]:
    """Return (rank of this process, number of processes) as set by torch's launcher; (0, 1) without it."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def distributed_context() -> Iterator[DistributedContext]:
    """Join the process group: by NCCL with one GPU for each process, or by gloo on CPUs.

    A single process needs no group, and a group that is joined already remains.

    Raises:
        UnavailableError: When there are more processes than GPUs.
    """
    import torch
    from torch import distributed

    rank, world_size = read_rank_and_world_size()
    local_rank, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if gpus and local_rank >= gpus:
        raise UnavailableError(
            f"there are more processes than GPUs ({gpus}), but each process needs its own GPU",
            hint="lower --nproc-per-node",
        )
    if gpus:
        torch.cuda.set_device(local_rank)
    processes = DistributedContext(rank, world_size, f"cuda:{local_rank}" if gpus else "cpu")
    if world_size == 1 or distributed.is_initialized():
        yield processes
        return
    distributed.init_process_group("nccl" if gpus else "gloo")
    try:
        yield processes
    finally:
        distributed.destroy_process_group()
