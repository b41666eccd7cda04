"""A phone's options are checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from donna_hw.devices.backends.android.binaries import MACHINES, find_binary, validate_abi
from donna_hw.devices.backends.android.options import DELEGATES, OPTIONS, AndroidConfig
from donna_hw.devices.backends.android.thermal import POLL_S, CoolDownPolicy
from donna_hw.errors import DonnaError, FileFormatError, UnavailableError


def elf(path: Path, abi: str) -> Path:
    bits, machine = MACHINES[abi]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF" + bytes([bits // 32]) + bytes(13) + machine.to_bytes(2, "little") + bytes(40))
    return path


def test_every_runner_takes_its_own_delegates_only() -> None:
    for runner, delegates in DELEGATES.items():
        for delegate in delegates:
            assert AndroidConfig.of({"runner": runner, "delegate": delegate}).delegate == delegate
        with pytest.raises(DonnaError, match=f"unknown delegate of the runner {runner}"):
            AndroidConfig.of({"runner": runner, "delegate": "abacus"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runner": "fast"}, "unknown runner"),
        ({"runner": "tvm_rpc"}, 'backend = "tvm"'),
        ({"cool_down": "never"}, "unknown cool_down"),
        ({"threads": 0}, "option threads must be at least 1"),
        ({"warmup_runs": -1}, "option warmup_runs must be at least 0"),
        ({"timeout_s": 0.0}, "option timeout_s must be above 0"),
        ({"run_s": float("nan")}, "option run_s must be above 0"),
        ({"cool_limit_s": float("inf")}, "option cool_limit_s must be at least 0"),
    ],
)
def test_a_bad_option_is_refused_with_its_rule(options: dict[str, object], message: str) -> None:
    with pytest.raises(DonnaError, match=message):
        AndroidConfig.of(options)  # type: ignore[arg-type]


def test_defaults_are_the_options() -> None:
    assert {name: getattr(AndroidConfig.of({}), name) for name in OPTIONS} == OPTIONS


def test_a_program_of_another_abi_is_refused_before_it_is_pushed(tmp_path: Path) -> None:
    good = elf(tmp_path / "good", "arm64-v8a")
    validate_abi(good, ("arm64-v8a", "armeabi-v7a"))
    with pytest.raises(FileFormatError, match="got 'x86_64'"):
        validate_abi(elf(tmp_path / "pc", "x86_64"), ("arm64-v8a",))
    with pytest.raises(FileFormatError, match="got 'armeabi-v7a'"):
        validate_abi(elf(tmp_path / "old", "armeabi-v7a"), ("arm64-v8a",))
    for text in (b"", b"#!/bin/sh\nexit 0\n"):
        (tmp_path / "script").write_bytes(text)
        with pytest.raises(FileFormatError, match="not an ELF file"):
            validate_abi(tmp_path / "script", ("arm64-v8a",))


def test_a_file_is_found_in_the_users_folder_of_the_phones_best_abi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DONNA_HW_DATA", str(tmp_path))
    old = elf(tmp_path / "runners/armeabi-v7a/tool", "armeabi-v7a")
    assert find_binary("", "tool", ("arm64-v8a", "armeabi-v7a"), "get it") == old
    best = elf(tmp_path / "runners/arm64-v8a/tool", "arm64-v8a")
    assert find_binary("", "tool", ("arm64-v8a", "armeabi-v7a"), "get it") == best
    assert find_binary(str(old), "tool", ("arm64-v8a", "armeabi-v7a"), "get it") == old
    for path in ("", str(tmp_path / "no")):
        with pytest.raises(UnavailableError, match="get it"):
            find_binary(path, "other", ("arm64-v8a",), "get it")


def test_cooling_ends_when_the_phone_is_as_cool_as_at_the_start() -> None:
    cooling = CoolDownPolicy(start_c=30.0, within_c=1.0, limit_s=60.0)
    assert cooling.wait_s(35.0, 0.0) == POLL_S
    assert cooling.wait_s(31.1, POLL_S) == POLL_S
    assert cooling.wait_s(31.0, 2 * POLL_S) == 0
    assert not cooling.timed_out


def test_cooling_ends_at_its_limit_and_is_marked_until_it_succeeds() -> None:
    cooling = CoolDownPolicy(start_c=30.0, within_c=1.0, limit_s=12.0)
    waits, waited = [], 0.0
    while wait := cooling.wait_s(40.0, waited):
        waits.append(wait)
        waited += wait
    assert waits == [5.0, 5.0, 2.0]
    assert cooling.timed_out
    assert cooling.wait_s(30.0, 0.0) == 0
    assert not cooling.timed_out
