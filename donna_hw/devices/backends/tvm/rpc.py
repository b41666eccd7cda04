"""A session on a device behind a TVM tracker: requested with a time limit, so that an absent tracker or a busy pool is an error."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from donna_hw.devices.backends.tvm.build import last_line
from donna_hw.errors import ConfigError, DonnaError, UnavailableError

ANSWER_S = 10.0  # a tracker answers at once whatever its devices do


def tracker_address(tracker: str) -> tuple[str, int]:
    """Return (host, port) of an option such as `192.168.1.5:9190`."""
    host, colon, port = tracker.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError("option tracker must be host:port", got=tracker)
    return host.strip("[]"), int(port)


def request_session(tracker: str, key: str, *, wait_s: float, session_timeout_s: float) -> Any:
    """Return a `tvm.rpc.RPCSession` of our own on a free device registered under `key`.

    wait_s: how long to wait until one of them is free. session_timeout_s: when the device ends the session, 0 for never. Raises
    `UnavailableError` with the keys that the tracker knows.
    """
    try:
        from tvm import rpc
    except ImportError as error:
        raise UnavailableError(
            "TVM's RPC needs its extra packages", got=str(error), hint="pip install 'donna-hw[tvm]'"
        ) from None
    address = tracker_address(tracker)
    try:
        host, port, match_key = _request_device(address, key, wait_s)
        return rpc.connect(host, port, match_key, session_timeout=session_timeout_s)
    except TimeoutError:
        raise UnavailableError(
            f"a device {key!r} of tracker {tracker} must become free within {wait_s:g} s",
            hint="start one more server with this key, end another session, or raise option wait_s",
        ) from None
    except DonnaError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise UnavailableError(
            f"a tracker must answer at {tracker}, and its device {key!r} too",
            got=last_line(error),
            hint="python -m tvm.exec.rpc_tracker, and python -m tvm.exec.rpc_server --tracker HOST:PORT --key KEY on the device",
        ) from None


def _request_device(address: tuple[str, int], key: str, wait_s: float) -> tuple[str, int, str]:
    """Ask the tracker for a device and return its host, port and the key of the match.

    `tvm.rpc.connect_tracker(...).request(...)` does the same but waits for ever for a free device, and a minute for a tracker.
    """
    from tvm.rpc import base

    with socket.create_connection(address, timeout=ANSWER_S) as connection:
        connection.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
        if struct.unpack("<i", base.recvall(connection, 4))[0] != base.RPC_TRACKER_MAGIC:
            raise ValueError("what answers there is no TVM tracker")
        known = _keys(_ask(connection, [base.TrackerCode.SUMMARY])[1])
        if key not in known:
            raise UnavailableError(
                "option key must be of a device that has registered with the tracker",
                got=key,
                choices=known,
                hint="start a server with this key",
            )
        connection.settimeout(wait_s)
        code, found = _ask(connection, [base.TrackerCode.REQUEST, key, "", 1])
        if code != base.TrackerCode.SUCCESS:
            raise ValueError(f"the tracker refused: {found}")
        host, port, match_key = found
        return str(host), int(port), str(match_key)


def _ask(connection: socket.socket, question: list[object]) -> Any:
    from tvm.rpc import base

    base.sendjson(connection, question)
    return base.recvjson(connection)


def _keys(summary: dict[str, Any]) -> list[str]:
    """Return the keys under which servers are registered; the tracker writes `server:<key>`."""
    return sorted({str(server["key"]).partition(":")[2] for server in summary["server_info"]})


@contextmanager
def translate_errors(key: str) -> Iterator[None]:
    """Turn what TVM raises when a session is lost, a server has died or its time is over, into `UnavailableError`."""
    try:
        yield
    except DonnaError:
        raise
    except Exception as error:
        raise UnavailableError(
            f"the session with TVM device {key!r} must last until the block has run",
            got=last_line(error),
            hint="check that its server runs, is in reach, and has no shorter session_timeout_s; then start again: a table continues",
        ) from None
