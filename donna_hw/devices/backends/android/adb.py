"""The adb client: Google's program, called with argument lists and timeouts; its failures become errors with a hint.

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
PUSH_TIMEOUT_S = 300.0  # for a library of a hundred megabytes over slow USB
SHOWN_LINES = 3
# adb's exit codes for a connection that was lost while a command ran: 0 in version 29, 255 in version 36
DISCONNECTED_EXIT_CODES = (0, 255)
STATES = (
    *("device", "offline", "unauthorized", "authorizing", "connecting", "no permissions", "bootloader", "recovery"),
    *("rescue", "sideload", "host", "detached", "unknown"),
)
RECONNECT_HINT = "plug it in again, and start again: what was measured is saved"
# adb's messages for a phone that is no longer connected
_DISCONNECTED = re.compile(
    r"device offline|device '[^']*' not found|no devices/emulators found|error: closed|connection reset"
    r"|protocol fault|failed to get feature set|device still connecting|transport|lost connection|couldn't read from device"
    r"|connect failed|EOF|broken pipe",
    re.IGNORECASE,
)
_STORAGE_FULL = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)


class PhoneDisconnectedError(UnavailableError):
    """A phone is not connected, or no longer answers."""


class PhoneStorageError(UnavailableError):
    """A phone has no space for a file."""


class CommandError(DonnaError):
    """A command on the phone ended with an exit code other than 0."""


@dataclass(frozen=True)
class AdbDevice:
    """A phone as `adb devices` lists it.

    Attributes:
        serial: Its serial number, or host and port.
        state: `device` when it can be used, else `offline` and others of `STATES`.
        properties: What adb lists further, such as `model`.
    """

    serial: str
    state: str
    properties: dict[str, str]


@dataclass(frozen=True)
class Adb:
    """The adb client.

    Args:
        executable: The program.
        serial: The phone that commands are for; empty: the only one that is connected.
        timeout_s: How long a call may take by default, in seconds.

    Raises:
        ConfigError: The serial number cannot be one.
    """

    executable: str
    serial: str = ""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if self.serial.startswith("-") or not self.serial.isprintable() or self.serial != self.serial.strip():
            raise ConfigError("a phone's serial number must be as `adb devices` shows it", got=self.serial)

    def devices(self) -> list[AdbDevice]:
        """Return all phones that adb sees, in whatever state."""
        text = self._run_checked("devices", "-l").stdout.decode(errors="replace")
        _, _, lines = text.partition("List of devices attached")
        return [device for line in lines.splitlines() if (device := _parse_device_line(line)) is not None]

    def shell(self, *arguments: str, timeout_s: float | None = None) -> str:
        """Run a command on the phone.

        Args:
            arguments: The command and its arguments.
            timeout_s: How long it may take, in seconds; None: the client's default.

        Returns:
            What it prints on standard output.

        Raises:
            CommandError: The command ended with an exit code other than 0.
            PhoneDisconnectedError: The phone does not answer, or not in time.
        """
        # the phone prints this marker when the command has ended, since adb's exit code does not show it
        marker = secrets.token_hex(8)
        command = f"{_quote_arguments(arguments)}; echo {marker}$? >&2"
        done = self._run("shell", "-T", "-n", command, timeout_s=timeout_s)
        stdout, stderr = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        output, has_ended, code = stderr.rpartition(marker)
        if not has_ended and done.returncode in DISCONNECTED_EXIT_CODES:
            raise PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} disconnected before {arguments[0]} ended", hint=RECONNECT_HINT
            )
        if not has_ended and done.returncode == 1:  # adb's own exit code; any other is that of the phone's shell
            raise self._client_error(("shell",), 1, f"{stderr}\n{stdout}")
        code = code.strip() if has_ended else str(done.returncode)
        if code != "0":
            raise self._command_error(f"{arguments[0]} on the phone", code, f"{stdout}\n{output}")
        return stdout

    def open(self, *arguments: str, errors: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start a command on the phone with pipes to its standard input and output; the caller waits for its end.

        Args:
            arguments: The command and its arguments.
            errors: Where its standard error goes; a pipe that nobody reads would block a library that prints much.
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
        """Try to reach a disconnected phone again.

        Over TCP it is disconnected first: `connect` alone would report "already connected" for a phone whose commands fail.
        """
        steps = [("disconnect", self.serial), ("connect", self.serial)] if ":" in self.serial else [("reconnect",)]
        for step in steps:
            # the next command shows whether it succeeded
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
                remaining_s = max(1.0, min(5.0, deadline - time.monotonic()))
                self._run_checked("wait-for-device", timeout_s=remaining_s)
                self.shell("true")
                return
            except DonnaError as error:
                if time.monotonic() >= deadline:
                    raise PhoneDisconnectedError(
                        f"phone {self.serial or 'on adb'} did not answer again within {wait_s:g} s",
                        got=str(error),
                        hint=RECONNECT_HINT,
                    ) from None
                time.sleep(RETRY_S)

    @property
    def _command(self) -> list[str]:
        return [self.executable, *(["-s", self.serial] if self.serial else [])]

    def _run_checked(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the client and return the finished process; raises the error that a failed call means."""
        done = self._run(*arguments, timeout_s=timeout_s)
        if done.returncode == 0:
            return done
        output = (done.stderr + b"\n" + done.stdout).decode(errors="replace")
        raise self._client_error(arguments, done.returncode, output)

    def _run(self, *arguments: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run the client, whatever its exit code; raises `PhoneDisconnectedError` when it takes too long."""
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        try:
            return subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} did not answer within {timeout_s:g} s (adb {arguments[0]})",
                hint="check whether it hangs, or raise option timeout_s",
            ) from None
        except OSError as error:
            raise _missing_client_error(self.executable, error) from None

    def _client_error(self, arguments: Sequence[str], code: int, output: str) -> DonnaError:
        """Return the error that a failed call of adb means."""
        lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith("*")]
        last_lines = " / ".join(lines[-SHOWN_LINES:]) or "no output"
        errors = [line for line in lines if line.startswith(("error:", "adb:"))]
        if any("more than one device" in line for line in errors):
            return ambiguous_phone_error([device.serial for device in self.devices()])
        if any(word in line for line in errors for word in ("unauthorized", "authorizing")):
            return unauthorized_error(self.serial)
        if _STORAGE_FULL.search(output):
            return PhoneStorageError(
                "no space left on the phone", got=last_lines, hint="free some of its storage, and start again"
            )
        if any(_DISCONNECTED.search(line) for line in errors):
            return PhoneDisconnectedError(
                f"phone {self.serial or 'on adb'} disconnected", got=last_lines, hint=RECONNECT_HINT
            )
        return self._command_error(f"adb {arguments[0]}", str(code), output)

    def _command_error(self, command: str, code: str, output: str) -> CommandError:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        killed = " (killed, perhaps out of memory)" if code == "137" else ""
        last_lines = " / ".join(lines[-SHOWN_LINES:]) or "no output"
        return CommandError(f"{command} failed with exit code {code}{killed}", got=last_lines)


def _quote_arguments(arguments: Sequence[str]) -> str:
    """Return the line that the phone's shell reads as exactly these arguments."""
    if not arguments or not arguments[0] or any("\0" in argument for argument in arguments):
        raise ConfigError("a command for the phone must have a name, and no zero byte", got=arguments)
    return shlex.join(arguments)


def _parse_device_line(line: str) -> AdbDevice | None:
    """Return the phone of a line: its serial number, which may contain spaces, its state, then words such as `model:SM_G981U`."""
    match = re.match(rf"(\S.*?)\s+({'|'.join(STATES)})(\s.*)?$", line.rstrip())
    if match is None or line.startswith("*"):
        return None
    properties = dict(word.split(":", 1) for word in (match[3] or "").split() if ":" in word)
    return AdbDevice(match[1], match[2], properties)


def ambiguous_phone_error(serials: Sequence[str]) -> UnavailableError:
    """Return the error of several phones of which none is selected."""
    return UnavailableError(
        f"{len(serials)} phones are connected and none is selected",
        choices=sorted(serials),
        hint="set option serial in the device file, or list them in its pool",
    )


def unauthorized_error(serial: str) -> UnavailableError:
    """Return the error of a phone whose user has not allowed this computer to debug it."""
    return UnavailableError(
        f"phone {serial or 'on adb'} does not allow this computer to debug it (unauthorized)",
        hint="accept the question on its screen, and start again",
    )


def _missing_client_error(path: str, error: OSError) -> UnavailableError:
    return UnavailableError(
        "the adb client does not run", got=f"{path}: {error.strerror or error}", hint="fix option adb"
    )
