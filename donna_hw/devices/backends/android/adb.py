"""The adb client: Google's own program, called with argument lists and time limits; its refusals in words that say what to do.

Every argument that reaches the phone's shell is quoted, so that no name from a file can become a command.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from donna_hw.errors import ConfigError, DonnaError, UnavailableError

RETRY_S = 0.2
PUSH_TIMEOUT_S = 300.0  # of a library of a hundred megabytes over slow USB
SHOWN_LINES = 3
# adb's exit codes for a connection that broke off while a command ran: 0 in version 29, 255 in version 36
DISCONNECTED_EXIT_CODES = (0, 255)
STATES = (
    *("device", "offline", "unauthorized", "authorizing", "connecting", "no permissions", "bootloader", "recovery"),
    *("rescue", "sideload", "host", "detached", "unknown"),
)
RECONNECT_HINT = "plug it in again, and start again: what was measured is kept"
# adb's words for a phone that was there and is not any more
_DISCONNECTED = re.compile(
    r"device offline|device '[^']*' not found|no devices/emulators found|error: closed|connection reset"
    r"|protocol fault|failed to get feature set|device still connecting|transport|lost connection|couldn't read from device"
    r"|connect failed|EOF|broken pipe",
    re.IGNORECASE,
)
_STORAGE_FULL = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)


class PhoneDisconnectedError(UnavailableError):
    """A phone that was there does not answer any more."""


class PhoneStorageError(UnavailableError):
    """A phone without room for a file."""


class CommandError(DonnaError):
    """A command that the phone ran, and that ended with an exit code other than 0."""


@dataclass(frozen=True)
class AdbDevice:
    """A phone as `adb devices` lists it; state: `device` when it can be used, else `offline` and the like; words: model and others."""

    serial: str
    state: str
    properties: dict[str, str]


@dataclass(frozen=True)
class Adb:
    """The client, for one phone where `serial` names it. timeout_s: how long any call may take unless it says otherwise."""

    executable: str
    serial: str = ""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.serial.startswith("-") or not self.serial.isprintable() or self.serial != self.serial.strip():
            raise ConfigError("a phone's serial must be as `adb devices` shows it", got=self.serial)

    def devices(self) -> list[AdbDevice]:
        """Return all phones that adb sees, whatever their state."""
        text = self._run_checked("devices", "-l").stdout.decode(errors="replace")
        _, _, listed = text.partition("List of devices attached")
        return [found for line in listed.splitlines() if (found := _parse_device_line(line)) is not None]

    def shell(self, *arguments: str, timeout_s: float | None = None) -> str:
        """Run a command on the phone and return what it prints on standard output.

        Raises `CommandError` with its exit code and last words, and `PhoneDisconnectedError`.
        """
        # the phone itself says that the command ended, by a word that nothing else prints: adb's exit code does not tell
        word = secrets.token_hex(8)
        done = self._run("shell", "-T", "-n", f"{_quote_arguments(arguments)}; echo {word}$? >&2", timeout_s=timeout_s)
        printed, said = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        before, ended, code = said.rpartition(word)
        if not ended and done.returncode in DISCONNECTED_EXIT_CODES:
            raise PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} must stay connected until a command ends",
                got=f"no end of {arguments[0]}",
                hint=RECONNECT_HINT,
            )
        if not ended and done.returncode == 1:  # adb's own; any other is that of the phone's shell
            raise self._client_error(("shell",), 1, f"{said}\n{printed}")
        code = code.strip() if ended else str(done.returncode)
        if code != "0":
            raise self._command_error(f"{arguments[0]} on the phone", code, f"{printed}\n{before}")
        return printed

    def open(self, *arguments: str, errors: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start a command on the phone with pipes to its standard input and output; its end is the caller's to watch.

        errors: where its standard error goes; a pipe that nobody reads would stop a library that says much.
        """
        try:
            return subprocess.Popen(
                [*self._command, "shell", "-T", _quote_arguments(arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        except OSError as error:
            raise _missing_client_error(self.executable, error) from None

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the phone; raises `PhoneStorageError` and `PhoneDisconnectedError`."""
        self._run_checked("push", str(local.absolute()), remote, timeout_s=max(PUSH_TIMEOUT_S, self.timeout_s))

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the phone."""
        self._run_checked("pull", remote, str(local.absolute()), timeout_s=max(PUSH_TIMEOUT_S, self.timeout_s))

    def reconnect(self) -> None:
        """Try to reach a phone again that has dropped out.

        Over TCP it is disconnected first: `connect` alone would say "already connected" of a phone whose commands fail.
        """
        steps = [("disconnect", self.serial), ("connect", self.serial)] if ":" in self.serial else [("reconnect",)]
        for step in steps:
            # whether it is there again shows in what follows
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                subprocess.run(
                    [*(self._command if step == ("reconnect",) else [self.executable]), *step],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=self.timeout_s,
                    check=False,
                )

    def wait_for_device(self, wait_s: float) -> None:
        """Reconnect, and wait until the phone answers; raises `PhoneDisconnectedError` after `wait_s`."""
        deadline = time.monotonic() + wait_s
        while True:
            try:
                self.reconnect()
                left = max(1.0, min(5.0, deadline - time.monotonic()))
                self._run_checked("wait-for-device", timeout_s=left)
                self.shell("true")
                return
            except DonnaError as error:
                if time.monotonic() >= deadline:
                    raise PhoneDisconnectedError(
                        f"phone {self.serial or 'on adb'} must answer again within {wait_s:g} s",
                        got=str(error),
                        hint=RECONNECT_HINT,
                    ) from None
                time.sleep(RETRY_S)

    @property
    def _command(self) -> list[str]:
        return [self.executable, *(["-s", self.serial] if self.serial else [])]

    def _run_checked(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the client and return what it printed; raises what its refusal means."""
        done = self._run(*arguments, timeout_s=timeout_s)
        if done.returncode == 0:
            return done
        said = (done.stderr + b"\n" + done.stdout).decode(errors="replace")
        raise self._client_error(arguments, done.returncode, said)

    def _run(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the client, whatever its exit code; raises `PhoneDisconnectedError` when it takes too long."""
        patience_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            return subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} must answer within {patience_s:g} s",
                got=f"no end of adb {arguments[0]}",
                hint="look whether it hangs, or raise option timeout_s",
            ) from None
        except OSError as error:
            raise _missing_client_error(self.executable, error) from None

    def _client_error(self, arguments: Sequence[str], code: int, said: str) -> DonnaError:
        """Return the error that a failed call means."""
        lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("*")]
        last = " / ".join(lines[-SHOWN_LINES:]) or "nothing"
        own = [line for line in lines if line.startswith(("error:", "adb:"))]
        if any("more than one device" in line for line in own):
            return ambiguous_phone_error([found.serial for found in self.devices()])
        if any(word in line for line in own for word in ("unauthorized", "authorizing")):
            return unauthorized_error(self.serial)
        if _STORAGE_FULL.search(said):
            return PhoneStorageError(
                "the phone must have room for what is pushed",
                got=last,
                hint="free some of its storage, and start again",
            )
        if any(_DISCONNECTED.search(line) for line in own):
            return PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} must stay connected",
                got=last,
                hint=RECONNECT_HINT,
            )
        return self._command_error(f"adb {arguments[0]}", str(code), said)

    def _command_error(self, what: str, code: str, said: str) -> CommandError:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        killed = " (killed, perhaps for want of memory)" if code == "137" else ""
        last = " / ".join(lines[-SHOWN_LINES:]) or "nothing"
        return CommandError(f"{what} must succeed", got=f"exit code {code}{killed}, its last words: {last}")


def _quote_arguments(arguments: Sequence[str]) -> str:
    """Return the one line that the phone's shell reads as exactly these arguments."""
    if not arguments or not arguments[0] or any("\0" in argument for argument in arguments):
        raise ConfigError("a command must have a name, and no zero byte in it", got=arguments)
    return shlex.join(arguments)


def _parse_device_line(line: str) -> AdbDevice | None:
    """Return a line's phone: the serial, which may hold blanks, the state, then words such as `model:SM_G981U`."""
    found = re.match(rf"(\S.*?)\s+({'|'.join(STATES)})(\s.*)?$", line.rstrip())
    if found is None or line.startswith("*"):
        return None
    words = dict(word.split(":", 1) for word in (found[3] or "").split() if ":" in word)
    return AdbDevice(found[1], found[2], words)


def ambiguous_phone_error(serials: Sequence[str]) -> UnavailableError:
    """Return the error of several phones of which none is named."""
    return UnavailableError(
        "one of several phones must be named",
        got=f"{len(serials)} phones",
        choices=sorted(serials),
        hint="set option serial in the device file, or list them in its pool",
    )


def unauthorized_error(serial: str) -> UnavailableError:
    """Return the error of a phone that has not been asked to trust this computer, or has not answered."""
    return UnavailableError(
        f"phone {serial or 'on adb'} must allow this computer to debug it",
        got="unauthorized",
        hint="accept the question on its screen, and start again",
    )


def _missing_client_error(path: str, error: OSError) -> UnavailableError:
    return UnavailableError("the adb client must run", got=f"{path}: {error.strerror or error}", hint="mend option adb")
