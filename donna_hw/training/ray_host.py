"""What a task of a cluster requires of its host: the folder that all hosts share, equal versions, and its threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from donna_hw._core.ray import format_error
from donna_hw.errors import UnavailableError

Task = TypeVar("Task")
Result = TypeVar("Result")
REPLY_S = 60.0  # a host that is silent for so long is dying; a worker starts in seconds


@dataclass(frozen=True)
class HostRequirements:
    """What a task must find on its host.

    Args:
        marker: The driver's file in the shared folder.
        working_dir: The folder that relative paths, such as that of a custom space, refer to; ignored on a host without it.
        threads: Threads of a task.
        versions: (package, version) as on the driver.
    """

    marker: str
    working_dir: str
    threads: int
    versions: tuple[tuple[str, str], ...]


def run_task(requirements: HostRequirements, work: Callable[[Task], Result], task: Task) -> Result:
    """Run a task on a host with a thread for each core.

    One core gives the same sums as a single machine, while more threads would add in another order.
    """
    import torch

    validate_host(requirements)
    with suppress(OSError):
        os.chdir(requirements.working_dir)
    torch.set_num_threads(requirements.threads)
    return work(task)


def validate_host(requirements: HostRequirements) -> None:
    """Raise `UnavailableError` on a host that lacks the folder or has other versions; hosts may join at any time."""
    if not Path(requirements.marker).exists():
        folder = str(Path(requirements.marker).parent)
        raise UnavailableError(
            f"{folder} is another folder, or none, on {os.uname().nodename}; it must be one folder on all hosts of the cluster",
            hint="mount the same file system there, or choose a folder on it with --out",
        )
    installed = read_versions()
    for name, required in requirements.versions:
        if installed[name] != required:
            raise UnavailableError(
                f"{os.uname().nodename} must have {name} {required}, as where the run was started, to give equal results",
                got=installed[name],
                hint=f"install {name} {required} there",
            )


def read_versions() -> dict[str, str]:
    """Return the versions of the packages that the results depend on."""
    return {name: version(name) for name in ("donna-hw", "torch", "numpy")}


def _reply(requirements: HostRequirements, node: str) -> None:
    """Validate a host, and write a file there that the driver must see."""
    validate_host(requirements)
    Path(f"{requirements.marker}-{node}").touch()


def validate_node(node: str, requirements: HostRequirements) -> None:
    """Raise `UnavailableError` when a host cannot run tasks; a dying host is ignored, since its tasks go to others."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(_reply).options(
        num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)
    )
    reply = Path(f"{requirements.marker}-{node}")
    try:
        ray.get(remote.remote(requirements, node), timeout=REPLY_S)
        if not reply.exists():
            raise UnavailableError(
                f"{reply.parent} must be one folder on all hosts of the cluster: a file that a host wrote there is not visible here",
                hint="mount the same file system on all hosts, or choose a folder on it with --out",
            )
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UnavailableError):
            raise error.cause from None
        raise UnavailableError(
            f"a host of the cluster lacks donna-hw, or cannot write in {reply.parent}",
            got=format_error(error.cause if isinstance(error.cause, OSError) else error),
            hint="install what is missing there, or choose another folder with --out",
        ) from None
    except ray.exceptions.RayError:
        return
    finally:
        reply.unlink(missing_ok=True)
