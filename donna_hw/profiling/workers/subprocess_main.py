"""The child of a `SubprocessWorker`: opens one device and answers calls over a pipe until the pipe is closed.

    python -m donna_hw.profiling.workers.subprocess_main FILE_DESCRIPTOR

Everything on the pipe was written by the parent of this process.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from donna_hw.devices.backends.base import TimingBackend
from donna_hw.errors import DonnaError, UnavailableError
from donna_hw.profiling.workers.base import TrialRunner, format_failure


def main() -> None:
    """Answer (method, arguments) with ("done", answer), ("failed", reason) or ("refused", error)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; the parent decides
    pipe = Connection(int(sys.argv[1]))
    _exit_with_parent()
    device, protocol, name = pipe.recv()
    runner: TrialRunner | None = None
    while True:
        try:
            method, arguments = pipe.recv()
        except (EOFError, ConnectionResetError):
            os._exit(0)  # a runtime's own threads must not keep the child alive
        try:
            if runner is None:
                backend = device.backend()
                if not isinstance(backend, TimingBackend):
                    raise UnavailableError(f"device {device.name} is not timed: its costs are {backend.origin}")
                runner = TrialRunner(backend, protocol, name)
            methods: dict[str, Callable[..., object]] = {
                "info": runner.backend.info,
                "run_trial": runner.run,
                "time_sentinel": runner.time_sentinel,
                "cool_down_s": runner.backend.cool_down_s,
            }
            pipe.send(("done", methods[method](*arguments)))
        except Exception as error:
            refused = runner is None and isinstance(error, DonnaError)
            pipe.send(("refused", error) if refused else ("failed", format_failure(error)))


def _exit_with_parent() -> None:
    """End this process when the standard input does, which is when the parent has ended, even by a kill."""
    # On Linux by the kernel: a runtime that hangs may hold the interpreter's lock, so that no Python thread runs.
    if sys.platform == "linux":
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    threading.Thread(target=_wait_for_parent_exit, daemon=True).start()


def _wait_for_parent_exit() -> None:
    while os.read(0, 1):  # not sys.stdin, whose lock, held by this thread, would abort the interpreter at its end
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
