"""A test adbd: a fake phone that uses adb's wire protocol with the real adb client on loopback.

Its shell is this machine's: what is below /data/local/tmp and /sys on a phone is below a folder of the test, and Android's commands
(getprop, dumpsys, settings) are scripts that print the test's texts. It requires authorization only where a test sets it.
"""

from __future__ import annotations

import contextlib
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

VERSION, MOST = 0x01000001, 256 * 1024
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
MAPPED = ("/data/local/tmp", "/sys/devices", "/sys/class")


@dataclass
class Faults:
    """What goes wrong.

    Attributes:
        unauthorized: The phone does not allow this computer to debug it.
        drop_at: A command that matches it ends the connection as it starts, once.
        drop_after: A command that matches it prints, and the connection ends before its end is reported.
        returns: A phone that disconnected is connected again at once.
        kill: A command that matches it is killed as it starts.
        instead: (pattern, text): a command that matches the pattern prints the text.
        hang: A command that matches it is never answered.
        full: There is no space for files.
        drop_push: A push ends the connection halfway, once.
    """

    unauthorized: bool = False
    drop_at: str = ""
    drop_after: str = ""
    returns: bool = False
    kill: str = ""
    instead: tuple[str, str] = ("", "")
    hang: str = ""
    full: bool = False
    drop_push: bool = False


@dataclass
class Phone:
    """A phone: its folder on this machine, its faults, the `commands` that were run and the paths that were `pushed`."""

    folder: Path
    faults: Faults = field(default_factory=Faults)
    commands: list[str] = field(default_factory=list)
    pushed: list[str] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._connections: list[_Connection] = []
        self._listener: socket.socket | None = None
        for part in MAPPED:
            (self.folder / part[1:]).mkdir(parents=True, exist_ok=True)
        for name in ("getprop", "dumpsys", "settings"):
            script = self.folder / "bin" / name
            script.parent.mkdir(exist_ok=True)
            outputs = self.folder / "outputs"
            script.write_text(f'#!/bin/sh\nfile="{outputs}/{name}${{1:+-$1}}${{3:+-$3}}"\nexec cat "$file"\n')
            script.chmod(0o755)
        (self.folder / "outputs").mkdir(exist_ok=True)

    @property
    def serial(self) -> str:
        """The serial number by which adb knows it."""
        return f"127.0.0.1:{self.port}"

    def set_output(self, command: str, text: str) -> None:
        """Make a command such as `dumpsys battery` print a text."""
        (self.folder / "outputs" / "-".join(command.split())).write_text(text)

    def here(self, remote: str) -> Path:
        """Return the path on this machine of a file of the phone."""
        return Path(self.mapped(remote))

    def mapped(self, text: str) -> str:
        for part in MAPPED:
            text = text.replace(part, f"{self.folder}{part}")
        return text

    def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self.port, self._listener = listener.getsockname()[1], listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def vanish(self) -> None:
        """Disconnect, as when the cable is pulled: running commands end."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.drop()

    def drop(self) -> None:
        """End the connections, but stay reachable."""
        connections, self._connections = self._connections, []
        for connection in connections:
            connection.end()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peer.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )  # packets are small: each would wait for the last
            connection = _Connection(self, peer)
            self._connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()


class _Connection:
    """One connection of the adb server, with its streams."""

    def __init__(self, phone: Phone, peer: socket.socket) -> None:
        self.phone, self.peer = phone, peer
        self.streams: dict[int, _Stream] = {}
        self.lock = threading.Lock()
        self.children: list[subprocess.Popen[bytes]] = []

    def serve(self) -> None:
        with contextlib.suppress(OSError, ConnectionError):
            while True:
                word, first, second, size, _, _ = struct.unpack("<4s5I", self._exactly(24))
                self._handle(word, first, second, self._exactly(size))
        self.end()

    def send(self, word: bytes, first: int, second: int, data: bytes = b"") -> None:
        magic = int.from_bytes(word, "little") ^ 0xFFFFFFFF
        with self.lock, contextlib.suppress(OSError):
            self.peer.sendall(
                struct.pack("<4s5I", word, first, second, len(data), sum(data) & 0xFFFFFFFF, magic) + data
            )

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self.peer.shutdown(socket.SHUT_RDWR)
        self.peer.close()
        for stream in list(self.streams.values()):
            stream.incoming.put(None)
            stream.ready.set()
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)

    def _handle(self, word: bytes, first: int, second: int, data: bytes) -> None:
        if word == b"CNXN":
            if self.phone.faults.unauthorized:
                self.send(b"AUTH", 1, 0, bytes(20))
            else:
                self.send(
                    b"CNXN", VERSION, MOST, b"device::ro.product.name=test;features=shell_v2,cmd,fixed_push_mkdir"
                )
        elif word == b"AUTH":
            self.send(b"AUTH", 1, 0, bytes(20))
        elif word == b"OPEN":
            stream = self.streams[first] = _Stream(self, first)
            self.send(b"OKAY", first, first)
            threading.Thread(target=stream.run, args=(data.rstrip(b"\0").decode(),), daemon=True).start()
        elif word == b"WRTE" and first in self.streams:
            self.streams[first].incoming.put(data)
            self.send(b"OKAY", first, first)
        elif word == b"OKAY" and first in self.streams:
            self.streams[first].ready.set()
        elif word == b"CLSE":
            stream = self.streams.pop(first, None)
            if stream is not None:
                stream.incoming.put(None)
                stream.ready.set()
                self.send(b"CLSE", first, first)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.peer.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


class _Stream:
    """One service that the client opened, under the client's number."""

    def __init__(self, connection: _Connection, number: int) -> None:
        self.connection, self.number = connection, number
        self.incoming: queue.Queue[bytes | None] = queue.Queue()
        self.ready = threading.Event()
        self.lock = threading.Lock()
        self.rest = b""

    def run(self, service: str) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            if service.startswith("shell,v2"):
                self._shell(service.partition(":")[2])
            elif service.startswith("sync:"):
                self._sync()
        if self.connection.streams.pop(self.number, None) is not None:
            self.connection.send(b"CLSE", self.number, self.number)

    def write(self, data: bytes) -> None:
        """Send data in pieces, each after the client has taken the one before."""
        with self.lock:
            for start in range(0, len(data), MOST):
                self.ready.clear()
                self.connection.send(b"WRTE", self.number, self.number, data[start : start + MOST])
                self.ready.wait()

    def exactly(self, count: int) -> bytes:
        while len(self.rest) < count:
            more = self.incoming.get()
            if more is None:
                raise ConnectionError
            self.rest += more
        data, self.rest = self.rest[:count], self.rest[count:]
        return data

    def _packet(self, kind: int, data: bytes) -> None:
        self.write(struct.pack("<BI", kind, len(data)) + data)

    def _shell(self, command: str) -> None:
        phone, faults = self.connection.phone, self.connection.phone.faults
        phone.commands.append(command)
        if faults.drop_at and re.search(faults.drop_at, command):
            faults.drop_at = ""
            phone.vanish()
            if faults.returns:
                phone.start()
            return
        if faults.hang and re.search(faults.hang, command):
            while self.incoming.get() is not None:
                pass
            return
        pattern, text = faults.instead
        if pattern and re.search(pattern, command):
            self._packet(STDOUT, text.encode())
            if word := re.search(r"; echo (\w+)\$\? >&2$", command):  # by which the client knows that it ended
                self._packet(STDERR, f"{word[1]}0\n".encode())
            self._packet(EXIT, b"\0")
            return
        cut = bool(faults.drop_after and re.search(faults.drop_after, command))
        if cut:
            command = command.rpartition("; echo ")[0]
        kill = "kill -9 $$; " if faults.kill and re.search(faults.kill, command) else ""
        environment = {**os.environ, "PATH": f"{phone.folder}/bin:{os.environ['PATH']}"}
        child = subprocess.Popen(
            ["/bin/sh", "-c", kill + phone.mapped(command)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=phone.folder,
            start_new_session=True,
        )
        self.connection.children.append(child)
        pumps = [
            threading.Thread(target=self._pump, args=(pipe, kind), daemon=True)
            for pipe, kind in ((child.stdout, STDOUT), (child.stderr, STDERR))
        ]
        for pump in pumps:
            pump.start()
        threading.Thread(target=self._feed, args=(child,), daemon=True).start()
        for pump in pumps:
            pump.join()
        code = child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        if cut:
            phone.vanish()
            return
        self._packet(EXIT, bytes([code if code >= 0 else 128 - code]))

    def _pump(self, pipe: object, kind: int) -> None:
        with contextlib.suppress(ConnectionError, OSError, ValueError):
            while data := os.read(pipe.fileno(), 65536):  # type: ignore[attr-defined]
                self._packet(kind, data)

    def _feed(self, child: subprocess.Popen[bytes]) -> None:
        """Pass the client's input on; its end, or the stream's, ends the command's input."""
        assert child.stdin is not None
        with contextlib.suppress(ConnectionError, OSError):
            while True:
                kind, size = struct.unpack("<BI", self.exactly(5))
                data = self.exactly(size)
                if kind == CLOSE_STDIN:
                    break
                if kind == STDIN:
                    child.stdin.write(data)
                    child.stdin.flush()
        with contextlib.suppress(OSError):
            child.stdin.close()

    def _sync(self) -> None:
        phone = self.connection.phone
        while True:
            word, size = struct.unpack("<4sI", self.exactly(8))
            name = self.exactly(size).decode()
            if word == b"QUIT":
                return
            if word == b"STAT":
                path = phone.here(name)
                found = path.stat() if path.exists() else None
                facts = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
                self.write(struct.pack("<4s3I", b"STAT", *facts))
            elif word == b"SEND":
                self._receive(name.rpartition(",")[0])
            elif word == b"RECV":
                data = phone.here(name).read_bytes()
                for start in range(0, len(data), 65536):
                    piece = data[start : start + 65536]
                    self.write(struct.pack("<4sI", b"DATA", len(piece)) + piece)
                self.write(struct.pack("<4sI", b"DONE", 0))

    def _receive(self, remote: str) -> None:
        phone, faults, data = self.connection.phone, self.connection.phone.faults, b""
        phone.pushed.append(remote)
        path = phone.here(remote)
        while True:
            word, size = struct.unpack("<4sI", self.exactly(8))
            if word == b"DONE":
                break
            data += self.exactly(size)
            if faults.drop_push:
                faults.drop_push = False
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data[: len(data) // 2])
                phone.drop()
                return
        if faults.full:
            why = b"couldn't create file: No space left on device"
            self.write(struct.pack("<4sI", b"FAIL", len(why)) + why)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.write(struct.pack("<4sI", b"OKAY", 0))
