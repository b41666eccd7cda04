"""The connection to a Ray cluster, refused in words where there is none."""

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

    Raises `UnavailableError` without Ray and without a cluster there.
    """
    require_ray()
    import ray

    if not address:  # of which Ray would make a cluster of its own
        raise UnavailableError("a Ray cluster must have an address", got=address, hint="host:port, or auto")
    _probe(address)
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UnavailableError(
            f"a Ray cluster must answer at {address}", got=format_error(error), hint="start one with `ray start --head`"
        ) from None


def _probe(address: str) -> None:
    """Raise `UnavailableError` when nothing listens at `host:port`, for which Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UnavailableError(
            f"a Ray cluster must answer at {address}", got=str(error), hint="start one with `ray start --head`"
        ) from None


def format_error(error: BaseException) -> str:
    """Return an error's kind and the first line of what it says; Ray's errors have dozens of lines."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
