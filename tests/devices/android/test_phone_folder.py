"""Files on the phone: programs are pushed once and never half, and nothing outside one folder is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from adbd import Phone

from donna_hw.devices.backends.android.adb import Adb, PhoneStorageError
from donna_hw.devices.backends.android.remote_files import ROOT, RemoteFolder, validate_remote_path
from donna_hw.errors import ConfigError, UnavailableError


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "a program"
    path.write_text("#!/bin/sh\necho it runs\n")
    return path


def test_a_program_is_pushed_once_and_runs(client: Adb, phone: Phone, program: Path) -> None:
    remote = RemoteFolder(client).push_once(program, executable=True)
    assert client.shell(remote) == "it runs\n"
    assert RemoteFolder(client).push_once(program, executable=True) == remote
    assert len(phone.pushed) == 1


def test_another_content_is_another_file(client: Adb, phone: Phone, program: Path) -> None:
    first = RemoteFolder(client).push_once(program)
    program.write_text("other")
    second = RemoteFolder(client).push_once(program)
    assert first != second
    assert [phone.here(remote).read_text() for remote in (first, second)] == ["#!/bin/sh\necho it runs\n", "other"]


def test_a_push_that_was_cut_off_is_never_taken_for_a_whole_one(client: Adb, phone: Phone, program: Path) -> None:
    phone.faults.drop_push = True
    with pytest.raises(UnavailableError):
        RemoteFolder(client).push_once(program)
    assert not list(phone.folder.rglob("a_program"))
    client.wait_for_device(60.0)
    remote = RemoteFolder(client).push_once(program)
    assert phone.here(remote).read_text() == program.read_text()


def test_files_that_belong_together_share_a_folder_under_their_own_names(
    client: Adb, phone: Phone, tmp_path: Path
) -> None:
    paths = [tmp_path / "libone.so", tmp_path / "libtwo.so"]
    for path in paths:
        path.write_text(path.name)
    folder = RemoteFolder(client).push_all_once(paths)
    assert sorted(path.name for path in phone.here(folder).iterdir()) == ["libone.so", "libtwo.so"]


def test_a_run_leaves_only_programs_and_libraries(client: Adb, phone: Phone, program: Path) -> None:
    folder = RemoteFolder(client)
    kept, model = folder.push_once(program), folder.write(b"model", ".onnx")
    assert phone.here(model).read_bytes() == b"model"
    other = folder.write(b"other", ".onnx")
    folder.remove(model)
    assert not phone.here(model).exists()
    assert phone.here(other).exists()
    of_another = RemoteFolder(client).write(b"model", ".onnx")
    folder.remove(other)
    assert phone.here(of_another).exists()
    assert phone.here(kept).exists()
    folder.clean_all()
    assert not phone.here(ROOT).exists()


def test_a_full_phone_reports_its_free_space(client: Adb, phone: Phone) -> None:
    phone.faults.full = True
    with pytest.raises(PhoneStorageError, match=r"No space left on device.*; [\d.]+ MB are free of 0\.0 MB needed"):
        RemoteFolder(client).write(b"model", ".onnx")


@pytest.mark.parametrize(
    "path", ["/", "/sdcard/x", "/data/local/tmp/x", ROOT, f"{ROOT}/../x", f"{ROOT}/a/../../x", "x", ""]
)
def test_nothing_outside_the_folder_is_touched(client: Adb, phone: Phone, path: str) -> None:
    with pytest.raises(ConfigError, match="must be below"):
        validate_remote_path(path)
    with pytest.raises(ConfigError, match="must be below"):
        RemoteFolder(client).remove(path)
    assert phone.commands == []
