"""A session on a device behind a TVM tracker: requested with a time limit, so that an absent tracker or a busy pool is an error."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from donna_hw.devices.backends.tvm.build import last_line
from donna_hw.errors import ConfigError, DonnaError, UnavailableError

ANSWER_S = 10.0  # a tracker answers at once, whatever its devices do


def tracker_address(tracker: str) -> tuple[str, int]:
    """Return (host, port) of an option such as `192.168.1.5:9190`."""
    host, colon, port = tracker.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError("option tracker must be host:port", got=tracker)
    return host.strip("[]"), int(port)


def request_session(tracker: str, key: str, *, wait_s: float, session_timeout_s: float) -> Any:
    """Return a new `tvm.rpc.RPCSession` on a free device.

    Args:
        tracker: The tracker's `host:port`.
        key: Key under which the device is registered.
        wait_s: How long to wait until one of its devices is free, in seconds.
        session_timeout_s: After how many seconds the device ends the session, 0 for never.

    Raises:
        UnavailableError: The tracker or the device does not answer, no device becomes free, or none has the key; the message then
            has the keys that the tracker knows.
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
            f"no device {key!r} of tracker {tracker} became free within {wait_s:g} s",
            hint="start one more server with this key, end another session, or raise option wait_s",
        ) from None
    except DonnaError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise UnavailableError(
            f"no answer from tracker {tracker} or its device {key!r}",
            got=last_line(error),
            hint="start python -m tvm.exec.rpc_tracker, and on the device python -m tvm.exec.rpc_server --tracker HOST:PORT --key KEY",
        ) from None


def _request_device(address: tuple[str, int], key: str, wait_s: float) -> tuple[str, int, str]:
    """Request a device from the tracker and return its host, port and match key.

    `tvm.rpc.connect_tracker(...).request(...)` does the same but waits forever for a free device, and a minute for a tracker.
    """
    from tvm.rpc import base

    with socket.create_connection(address, timeout=ANSWER_S) as connection:
        connection.sendall(struct.pack("<i", base.RPC_TRACKER_MAGIC))
        if struct.unpack("<i", base.recvall(connection, 4))[0] != base.RPC_TRACKER_MAGIC:
            raise ValueError("the server there is not a TVM tracker")
        keys = _parse_keys(_request(connection, [base.TrackerCode.SUMMARY])[1])
        if key not in keys:
            raise UnavailableError(
                "no device with this key has registered with the tracker",
                got=key,
                choices=keys,
                hint="start a server with this key",
            )
        connection.settimeout(wait_s)
        code, reply = _request(connection, [base.TrackerCode.REQUEST, key, "", 1])
        if code != base.TrackerCode.SUCCESS:
            raise ValueError(f"the tracker refused: {reply}")
        host, port, match_key = reply
        return str(host), int(port), str(match_key)


def _request(connection: socket.socket, message: list[object]) -> Any:
    from tvm.rpc import base

    base.sendjson(connection, message)
    return base.recvjson(connection)


def _parse_keys(summary: dict[str, Any]) -> list[str]:
    """Return the keys under which servers are registered; the tracker writes `server:<key>`."""
    return sorted({str(server["key"]).partition(":")[2] for server in summary["server_info"]})


@contextmanager
def translate_errors(key: str) -> Iterator[None]:
    """Turn what TVM raises when a session is lost, a server has died or its session timed out into `UnavailableError`."""
    try:
        yield
    except DonnaError:
        raise
    except Exception as error:
        raise UnavailableError(
            f"lost the session with TVM device {key!r} before the block had run",
            got=last_line(error),
            hint="check that its server runs, can be reached, and has no shorter session_timeout_s; then start again: a table resumes",
        ) from None
