"""What a task of a cluster meets on its host: the folder that all hosts share, the same versions, and its threads."""

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
REPLY_S = 60.0  # a host that says nothing for so long is dying; a worker starts in seconds


@dataclass(frozen=True)
class HostRequirements:
    """What a task must find on its host: the driver's file in the shared folder, and the driver's versions.

    Relative names, such as of a space of one's own, are of the folder `works_in`, where there is one.
    """

    marker: str
    working_dir: str
    threads: int
    versions: tuple[tuple[str, str], ...]


def run_task(home: HostRequirements, work: Callable[[Task], Result], task: Task) -> Result:
    """Do the work on a host, on a thread for each core; one, as on a single machine, since more add up in another order."""
    import torch

    validate_host(home)
    with suppress(OSError):
        os.chdir(home.working_dir)
    torch.set_num_threads(home.threads)
    return work(task)


def validate_host(home: HostRequirements) -> None:
    """Raise `UnavailableError` on a host that lacks the folder or has other versions; hosts may join at any time."""
    if not Path(home.marker).exists():
        folder = str(Path(home.marker).parent)
        raise UnavailableError(
            f"{folder} must be one folder on all hosts of the cluster",
            got=f"another, or none, on {os.uname().nodename}",
            hint="mount the same file system there, or choose a folder on it with --out",
        )
    here = read_versions()
    for name, wanted in home.versions:
        if here[name] != wanted:
            raise UnavailableError(
                f"all hosts of the cluster must have {name} {wanted}, as where the run was started, to give equal results",
                got=f"{here[name]} on {os.uname().nodename}",
                hint=f"install {name} {wanted} there",
            )


def read_versions() -> dict[str, str]:
    """Return the versions of what the results hang on."""
    return {name: version(name) for name in ("donna-hw", "torch", "numpy")}


def _reply(home: HostRequirements, node: str) -> None:
    """Check a host, and write a file there that the driver must see."""
    validate_host(home)
    Path(f"{home.marker}-{node}").touch()


def validate_node(node: str, home: HostRequirements) -> None:
    """Raise `UnavailableError` when a host cannot do tasks; one that is dying is passed over, for its tasks go to others."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = ray.remote(_reply).options(num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False))
    reply = Path(f"{home.marker}-{node}")
    try:
        ray.get(there.remote(home, node), timeout=REPLY_S)
        if not reply.exists():
            raise UnavailableError(
                f"{reply.parent} must be one folder on all hosts of the cluster",
                got="a file that a host wrote there and that is not seen here",
                hint="mount the same file system on all hosts, or choose a folder on it with --out",
            )
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UnavailableError):
            raise error.cause from None
        raise UnavailableError(
            f"a host of the cluster must have donna-hw and be able to write in {reply.parent}",
            got=format_error(error.cause if isinstance(error.cause, OSError) else error),
            hint="install what is missing there, or choose another folder with --out",
        ) from None
    except ray.exceptions.RayError:
        return
    finally:
        reply.unlink(missing_ok=True)
