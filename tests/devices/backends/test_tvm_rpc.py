"""TVM over a real tracker with two real servers on the loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from requirements import needs

from donna_hw.devices.backends.tvm.backend import TvmBackend
from donna_hw.errors import UnavailableError
from donna_hw.graph.graph import Graph
from donna_hw.testing import check_backend, example_graphs

STARTED_S = 120.0  # a deadline, not a pause: TVM's import alone takes many seconds on a busy machine


@pytest.fixture(autouse=True, scope="module")
def _tvm_is_here() -> None:
    needs(TvmBackend.availability().ok, "apache-tvm[rpc] and a C++ compiler")


def small_graph() -> Graph:
    return example_graphs()[0]


@dataclass(frozen=True)
class Pool:
    """A tracker and its servers, each the leader of a process group of its own."""

    tracker: str
    servers: tuple[subprocess.Popen[bytes], ...]

    def backend(self, **options: str | float) -> TvmBackend:
        return TvmBackend(1, {"tracker": self.tracker, "key": "board", **options})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(module: str, *words: str) -> subprocess.Popen[bytes]:
    port = free_port()
    command = [sys.executable, "-m", f"tvm.exec.{module}", "--host", "127.0.0.1", "--port", str(port), "--port-end"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([*command, str(port + 1), *words], start_new_session=True, **quiet)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        assert process.poll() is not None
    process.wait()


def until(what: str, process: subprocess.Popen[bytes], done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + STARTED_S
    while not done():
        assert process.poll() is None, f"{what} ended by itself with {process.returncode}"
        assert time.monotonic() < deadline, f"{what} must come within {STARTED_S} s"
        time.sleep(0.05)  # between two polls


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    from donna_hw.devices.backends.tvm.rpc import tracker_address

    processes = [start("rpc_tracker", "--silent")]
    tracker = f"127.0.0.1:{processes[0].args[6]}"  # type: ignore[index]
    try:
        processes += [start("rpc_server", "--tracker", tracker, "--key", "board", "--silent") for _ in range(2)]

        def registered() -> int:
            from tvm.rpc import connect_tracker

            try:
                socket.create_connection(tracker_address(tracker), 1.0).close()
            except OSError:
                return 0
            session = connect_tracker(*tracker_address(tracker))
            try:
                return len(session.summary()["server_info"])
            finally:
                session.close()

        until("two servers at the tracker", processes[0], lambda: registered() == 2)
        yield Pool(tracker, tuple(processes[1:]))
    finally:
        for process in reversed(processes):
            end(process)


def test_no_tracker_is_reported_at_once_with_a_hint() -> None:
    backend = TvmBackend(1, {"tracker": f"127.0.0.1:{free_port()}", "key": "board"})
    with pytest.raises(UnavailableError, match=r"no answer from tracker 127\.0\.0\.1.*refused.*rpc_tracker"):
        backend.prepare(small_graph())


def test_what_is_no_tracker_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP")
                connection.recv(4)

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="not a TVM tracker"):
            TvmBackend(1, {"tracker": address, "key": "board"}).prepare(small_graph())
        thread.join()


@pytest.mark.long
def test_tvm_fulfills_the_contract_over_a_tracker(pool: Pool) -> None:
    class RemoteTvm(TvmBackend):
        options = TvmBackend.options | {"tracker": pool.tracker, "key": "board"}

    check_backend(RemoteTvm)
    identity = RemoteTvm(1, {}).environment().identity
    assert identity["device_model"] == "board"
    assert identity["rpc"] is True
    assert identity["mcpu"] == "", "this machine's processor must not be taken for the device's"


@pytest.mark.long
def test_an_unknown_key_names_those_that_the_tracker_knows(pool: Pool) -> None:
    with pytest.raises(
        UnavailableError, match=r"no device with this key .*got 'bord'; expected board \(did you mean 'board'\?\)"
    ):
        pool.backend(key="bord").prepare(small_graph())


@pytest.mark.long
def test_two_servers_serve_two_backends_and_a_killed_one_takes_its_own_only(pool: Pool) -> None:
    runners = [pool.backend().prepare(small_graph()) for _ in range(2)]
    for runner in runners:
        samples = runner.samples(4)
        assert samples.device_s is not None
        assert samples.device_s.shape == samples.wall_s.shape == (4,)
        assert samples.cpu_s is None
        # The call holds one run more than are kept, and the way there and back.
        assert samples.device_s.sum() < 5 * samples.wall_s[0]
    with pytest.raises(UnavailableError, match=r"no device 'board' of tracker .* became free within 0\.5 s"):
        pool.backend(wait_s=0.5).prepare(small_graph())
    end(pool.servers[0])
    endings = []
    for runner in runners:
        try:
            endings.append(str(runner.samples(2).wall_s.size))
        except UnavailableError as error:
            endings.append(error.message)
        runner.close()
    assert sorted(endings) == ["2", "lost the session with TVM device 'board' before the block had run"]
