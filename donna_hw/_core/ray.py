"""The connection to a Ray cluster, with a clear error where there is none."""

from __future__ import annotations

import logging
import socket
from importlib.util import find_spec

from donna_hw.errors import UnavailableError


def require_ray() -> None:
    """Raise `UnavailableError` when Ray is not installed."""
    if find_spec("ray") is None:
        raise UnavailableError("a cluster needs the package ray", hint="pip install 'donna-hw[cluster]'")


def connect(address: str) -> None:
    """Join the cluster at a Ray address, `auto` for the one this host belongs to; joining twice is fine.

    Raises:
        UnavailableError: Ray is not installed, or no cluster answers there.
    """
    require_ray()
    import ray

    if not address:  # Ray would start a cluster of its own
        raise UnavailableError("empty address of a Ray cluster", got=address, hint="give host:port, or auto")
    _probe(address)
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UnavailableError(
            f"no Ray cluster answers at {address}", got=format_error(error), hint="start one with `ray start --head`"
        ) from None


def _probe(address: str) -> None:
    """Raise `UnavailableError` when nothing listens at `host:port`; Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UnavailableError(
            f"no Ray cluster answers at {address}", got=str(error), hint="start one with `ray start --head`"
        ) from None


def format_error(error: BaseException) -> str:
    """Return an error's type and the first line of its message; Ray's errors have dozens of lines."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
