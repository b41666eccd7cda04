"""The real adb client against the test adbd: what it lists, runs and copies, and every way in which that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from adbd import Phone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from donna_hw.devices.backends.android.adb import (
    Adb,
    CommandError,
    PhoneDisconnectedError,
    PhoneStorageError,
    _parse_device_line,
)
from donna_hw.devices.backends.android.discovery import find_adb, select_phone
from donna_hw.errors import ConfigError, UnavailableError

TMP = "/data/local/tmp"


def test_phones_are_listed_with_their_state(adb: Adb, plug_in: Callable[..., Phone]) -> None:
    assert adb.devices() == []
    phones = [plug_in("one"), plug_in("two")]
    assert {found.serial: found.state for found in adb.devices()} == {phone.serial: "device" for phone in phones}


def test_a_commands_output_is_what_it_printed(client: Adb) -> None:
    assert client.shell("printf", r"a\nb") == "a\nb"
    assert client.shell("true") == ""


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=3))
def test_arguments_reach_the_phone_as_they_are(client: Adb, words: list[str]) -> None:
    assert client.shell("printf", "%s|", *words) == "".join(f"{word}|" for word in words)


@pytest.mark.parametrize(
    "nasty", ["$(touch /data/local/tmp/x)", "`touch x`", "; touch x", "'\"; touch x; '", "&& touch x", "a\nb", ""]
)
def test_no_argument_becomes_a_command(client: Adb, phone: Phone, nasty: str) -> None:
    before = sorted(phone.folder.rglob("*"))
    assert client.shell("printf", "%s", nasty) == phone.mapped(nasty)
    assert sorted(phone.folder.rglob("*")) == before


def test_a_command_that_fails_reports_its_exit_code_and_its_last_words(client: Adb) -> None:
    with pytest.raises(CommandError, match="failed with exit code 3; got 'it broke'"):
        client.shell("sh", "-c", "echo it broke >&2; exit 3")


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 3_000_000])
def test_files_come_back_as_they_went(client: Adb, phone: Phone, tmp_path: Path, size: int) -> None:
    data = np.random.default_rng(size).bytes(size)
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(data)
    client.push(there, f"{TMP}/file")
    assert phone.here(f"{TMP}/file").read_bytes() == data
    client.pull(f"{TMP}/file", back)
    assert back.read_bytes() == data


def test_an_opened_command_is_talked_to_until_its_input_ends(client: Adb) -> None:
    process = client.open("sh", "-c", "while read line; do echo got $line; done; echo end")
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    for word in (b"one\n", b"two\n"):
        process.stdin.write(word)
        process.stdin.flush()
        assert process.stdout.readline() == b"got " + word
    process.stdin.close()
    assert process.stdout.read() == b"end\n"
    assert process.wait(30) == 0
    process.stdout.close()
    process.stderr.close()


def test_the_one_phone_that_is_there_is_chosen(adb: Adb, phone: Phone) -> None:
    assert select_phone(adb).serial == phone.serial
    assert select_phone(replace(adb, serial=phone.serial)).serial == phone.serial


def test_no_phone_is_an_error_with_a_hint(adb: Adb) -> None:
    with pytest.raises(PhoneDisconnectedError, match="no phone is connected with USB debugging on"):
        select_phone(adb)


def test_several_phones_are_named_when_none_is_chosen(adb: Adb, plug_in: Callable[..., Phone]) -> None:
    one, two = plug_in("one"), plug_in("two")
    for use in (lambda: select_phone(adb), lambda: adb.shell("true")):
        with pytest.raises(UnavailableError, match="2 phones are connected and none is selected") as error:
            use()
        assert error.value.choices == tuple(sorted((one.serial, two.serial)))
    assert select_phone(replace(adb, serial=two.serial)).shell("true") == ""


def test_an_unknown_serial_is_refused_with_the_known_ones(adb: Adb, phone: Phone) -> None:
    with pytest.raises(PhoneDisconnectedError, match="option serial") as error:
        select_phone(replace(adb, serial="R58M12ABCDE"))
    assert error.value.choices == (phone.serial,)


def test_a_phone_that_has_not_allowed_it_is_reported_as_unauthorized(adb: Adb, plug_in: Callable[..., Phone]) -> None:
    phone = plug_in(connect=False)
    phone.faults.unauthorized = True
    one = replace(adb, serial=phone.serial)
    with pytest.raises(UnavailableError, match="does not allow this computer"):
        select_phone(one)
    with pytest.raises(UnavailableError, match="does not allow this computer"):
        one.shell("true")


def test_a_phone_that_drops_out_while_it_works_is_gone_and_comes_back(client: Adb, phone: Phone) -> None:
    phone.faults.drop_at = "printf"
    with pytest.raises(PhoneDisconnectedError):
        client.shell("printf", "x")
    with pytest.raises(PhoneDisconnectedError):
        client.shell("printf", "x")
    phone.start()
    client.wait_for_device(60.0)
    assert client.shell("printf", "x") == "x"


@pytest.mark.parametrize("message", ["tick", "tick >&2", "donna_hw-ended-0", "No space left on device >&2"])
def test_a_connection_that_breaks_after_a_command_spoke_is_no_end_of_it(
    client: Adb, phone: Phone, message: str
) -> None:
    phone.faults.drop_after = "echo tick|echo donna|echo No"
    with pytest.raises(PhoneDisconnectedError, match="disconnected before sh ended"):
        client.shell("sh", "-c", f"echo {message}")


def test_a_serial_may_hold_blanks() -> None:
    line = "adb-R5C (2)._adb-tls-connect._tcp device product:x1 model:SM_G981U device:x1 transport_id:3"
    found = _parse_device_line(line)
    assert found is not None
    assert (found.serial, found.state) == ("adb-R5C (2)._adb-tls-connect._tcp", "device")
    assert found.properties["model"] == "SM_G981U"
    assert (
        _parse_device_line(
            "R58M10ABCDE            no permissions (user is not in the plugdev group); see [http://x] usb:1-1"
        )
        is not None
    )
    assert _parse_device_line("* daemon started successfully") is None


def test_a_phone_that_does_not_come_back_is_waited_for_so_long_and_no_longer(client: Adb, phone: Phone) -> None:
    phone.vanish()
    with pytest.raises(PhoneDisconnectedError, match=r"did not answer again within 0\.1 s"):
        client.wait_for_device(0.1)


def test_a_call_that_is_never_answered_ends_with_its_time_limit(client: Adb, phone: Phone) -> None:
    phone.faults.hang = "printf"
    with pytest.raises(PhoneDisconnectedError, match=r"did not answer within 0\.5 s"):
        client.shell("printf", "x", timeout_s=0.5)


def test_a_full_phone_is_reported_as_full(client: Adb, phone: Phone, tmp_path: Path) -> None:
    phone.faults.full = True
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(PhoneStorageError) as error:
        client.push(tmp_path / "file", f"{TMP}/file")
    assert "No space left" in str(error.value.got)  # the message cuts what long paths make long


def test_a_push_that_is_cut_off_is_no_success(client: Adb, phone: Phone, tmp_path: Path) -> None:
    phone.faults.drop_push = True
    (tmp_path / "file").write_bytes(bytes(100_000))
    with pytest.raises(UnavailableError):
        client.push(tmp_path / "file", f"{TMP}/file")


@pytest.mark.parametrize("serial", ["-e", "--help", " a", "x\ny"])
def test_a_serial_that_could_be_an_option_is_refused(serial: str) -> None:
    with pytest.raises(ConfigError, match="serial"):
        Adb("adb", serial)


@pytest.mark.parametrize("serial", ["$(touch)", ";touch", "`touch`"])
def test_a_serial_is_no_command(adb: Adb, phone: Phone, serial: str) -> None:
    with pytest.raises(PhoneDisconnectedError):
        replace(adb, serial=serial).shell("true")
    assert phone.commands == []


def test_without_a_client_the_hint_is_to_install_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ADB", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("donna_hw.devices.backends.android.discovery.find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"pip install 'donna-hw\[android\]'"):
        find_adb()
    with pytest.raises(UnavailableError, match="option adb does not name"):
        find_adb(str(tmp_path / "adb"))
    with pytest.raises(UnavailableError, match="the adb client does not run"):
        Adb(str(tmp_path / "adb")).devices()


def test_the_sdks_client_is_found_before_the_packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "sdk/platform-tools/adb"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("ADB")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path / "sdk"))
    assert find_adb() == str(program)
