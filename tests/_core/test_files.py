"""Files survive kills, full disks and second writers."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from donna_hw._core.files import hold_lock, read_text, write_atomic
from donna_hw._core.journal import Journal
from donna_hw._core.toml_files import read_model, read_toml, write_toml
from donna_hw.errors import ConfigError, FileFormatError, LockedError, UnknownNameError

COLUMNS = ("what", "note")
RECORDS = [
    {"what": "one", "note": "plain"},
    {"what": "two, with a comma", "note": 'and "quotes"'},
    {"what": "three", "note": "größer als µ"},
]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def journal_of(path: Path, records: list[dict[str, str]]) -> Journal:
    journal = Journal(path, COLUMNS)
    for record in records:
        journal.append(record)
    return journal


def test_a_journal_reads_back_what_was_appended(tmp_path: Path) -> None:
    journal_of(tmp_path / "new" / "j.csv", RECORDS)
    assert Journal(tmp_path / "new" / "j.csv", COLUMNS).records() == RECORDS


def test_an_absent_or_empty_journal_has_no_records(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.csv", COLUMNS)
    assert journal.records() == []
    journal.path.touch()
    assert journal.records() == []
    journal.append(RECORDS[0])
    assert journal.records() == RECORDS[:1]


def test_a_record_torn_at_any_byte_loses_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    journal_of(path, RECORDS[:2])
    before = path.stat().st_size
    journal_of(path, RECORDS[2:])
    whole = path.read_bytes()
    for end in range(before, len(whole)):
        path.write_bytes(whole[:end])
        torn = Journal(path, COLUMNS)
        assert torn.records() == RECORDS[:2]
        torn.append(RECORDS[2])
        assert path.read_bytes() == whole


def test_a_chunk_is_what_its_records_are_one_by_one_and_synced_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_by_one, at_once = journal_of(tmp_path / "a.csv", RECORDS), Journal(tmp_path / "b.csv", COLUMNS)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    at_once.append_all(iter(RECORDS))
    assert len(synced) == 1
    assert at_once.path.read_bytes() == one_by_one.path.read_bytes()


def test_a_chunk_torn_at_any_byte_keeps_the_records_before(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    Journal(path, COLUMNS).append_all(RECORDS)
    whole = path.read_bytes()
    for end in range(whole.index(b"\n") + 1, len(whole)):
        path.write_bytes(whole[:end])
        torn = Journal(path, COLUMNS)
        kept = whole[:end].count(b"\n") - 1
        assert torn.records() == RECORDS[:kept]
        torn.append_all(RECORDS[kept:])
        assert path.read_bytes() == whole


def test_a_header_torn_at_any_byte_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    whole = (journal_of(path, RECORDS[:1])).path.read_bytes()
    for end in range(whole.index(b"\n") + 1):
        path.write_bytes(whole[:end])
        torn = Journal(path, COLUMNS)
        assert torn.records() == []
        torn.append(RECORDS[0])
        assert path.read_bytes() == whole


@given(st.lists(st.tuples(*[st.text(st.characters(exclude_categories=["Cs"]), max_size=12)] * 2), max_size=4))
def test_any_text_is_one_line_and_reads_back_with_spaces_for_line_ends(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str]]
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "j.csv", COLUMNS)
    for what, note in texts:
        journal.append({"what": what, "note": note})
    expected = [tuple(text.replace("\n", " ").replace("\r", " ") for text in pair) for pair in texts]
    assert [(record["what"], record["note"]) for record in journal.records()] == expected


@pytest.mark.parametrize("broken", ["only one", "1,2,3", "", '"open,quote'])
def test_a_broken_line_in_the_middle_is_named_by_its_number(tmp_path: Path, broken: str) -> None:
    path = journal_of(tmp_path / "j.csv", RECORDS).path
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], broken, *lines[2:]]) + "\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 3"):
        Journal(path, COLUMNS).records()


def test_a_journal_of_other_columns_is_refused(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "j.csv", RECORDS).path
    with pytest.raises(FileFormatError, match="unexpected columns what, note; expected other"):
        Journal(path, ("other",)).records()


def test_bytes_that_are_no_text_in_the_middle_are_refused(tmp_path: Path) -> None:
    path = journal_of(tmp_path / "j.csv", RECORDS).path
    path.write_bytes(path.read_bytes().replace(b"one", b"\xff\xfe"))
    with pytest.raises(FileFormatError, match="UTF-8"):
        Journal(path, COLUMNS).records()


def test_an_atomic_write_replaces_the_whole_file_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, "long old content")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert names_in(path.parent) == ["file"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_atomic_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    if step == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        write_atomic(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert names_in(tmp_path) == ["file"]


def fill(path: Path) -> None:
    """Write to `path` until its disk is full to the last byte."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass


def append_often(journal: Journal, record: dict[str, str]) -> None:
    """Append more than fits into what is left of the file's last page."""
    for _ in range(3):
        journal.append(record)


def test_a_full_disk_leaves_the_journal_as_it_was_and_it_goes_on_when_there_is_space(small_disk: Path) -> None:
    journal = Journal(small_disk / "j.csv", COLUMNS)
    long = {"what": "a", "note": "x" * 3000}
    journal.append(long)
    before = journal.path.read_bytes()
    fill(small_disk / "ballast")
    with pytest.raises(OSError, match="No space"):
        append_often(journal, long)
    kept = journal.records()
    assert journal.path.read_bytes().startswith(before)
    assert kept == [long] * len(kept)
    with pytest.raises(OSError, match="No space"):
        journal.append_all([long] * 3)
    assert journal.records() == kept, "a chunk that does not fit is left out whole"
    (small_disk / "ballast").unlink()
    journal.append(RECORDS[0])
    assert Journal(journal.path, COLUMNS).records() == [*kept, RECORDS[0]]


def test_a_full_disk_leaves_an_atomically_written_file_as_it_was(small_disk: Path) -> None:
    path = small_disk / "file"
    write_atomic(path, "old")
    fill(small_disk / "ballast")
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "n" * 10_000)
    assert path.read_text(encoding="utf-8") == "old"
    assert names_in(small_disk) == ["ballast", "file"]


HOLD = """
import sys
from pathlib import Path
from donna_hw.errors import LockedError
from donna_hw._core.files import hold_lock
try:
    with hold_lock(Path(sys.argv[1])):
        print("locked", flush=True)
        sys.stdin.readline()
except LockedError as error:
    print(error, flush=True)
"""


def test_a_second_process_is_refused_while_the_first_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "run" / ".lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        with pytest.raises(LockedError, match="locked by another process"), hold_lock(lock):
            pass
        second = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert "locked by another process" in second.stdout
        first.communicate("\n")
    with hold_lock(lock):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "locked\n"
        first.kill()
    with hold_lock(tmp_path / ".lock"):
        pass


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    size: int = 1


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        (
            "nmae = 'x'\nname = 'y'",
            UnknownNameError,
            r"f\.toml: unknown key 'nmae'; expected inner or name \(did you mean 'name'\?\)",
        ),
        (
            "name = 'y'\n[inner]\nsiez = 2",
            UnknownNameError,
            r"f\.toml, \[inner\]: unknown key 'siez'; expected size \(did you mean 'size'\?\)",
        ),
        ("", ConfigError, "missing key 'name'; add name"),
        ("name = 'y'\n[inner]\nsize = 'big'", ConfigError, r"inner\.size: .*got 'big'"),
        ("name = 'x'\nname = 'y'", FileFormatError, "Cannot overwrite"),
        ("name = x", FileFormatError, "line 1"),
    ],
)
def test_a_bad_toml_names_the_key_and_the_fix(tmp_path: Path, text: str, error: type[Exception], says: str) -> None:
    path = tmp_path / "f.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=says) as caught:
        read_model(path, Outer)
    assert str(path) in str(caught.value)


def test_a_toml_reads_back_what_was_written(tmp_path: Path) -> None:
    content = {"name": 'ä \n "x"', "inner": {"size": 3}, "list": [1.5, 2.5], "yes": True}
    write_toml(tmp_path / "f.toml", content)
    assert read_toml(tmp_path / "f.toml") == content


def test_what_is_no_readable_file_is_a_bad_file(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="none: no such file"):
        read_text(tmp_path / "none")
    with pytest.raises(FileFormatError, match="not a text file"):
        read_text(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FileFormatError, match="UTF-8"):
        read_text(tmp_path / "bytes")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"x = {'9' * 5000}", "not valid TOML"),
        ("x = " + "[" * 5000 + "]" * 5000, "nested hundreds of levels deep"),
        ("x = " + "{a = " * 5000 + "1" + "}" * 5000, "nested hundreds of levels deep"),
    ],
    ids=["digits", "arrays", "tables"],
)
def test_a_toml_that_python_cannot_hold_is_a_bad_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(FileFormatError, match=says):
        read_toml(tmp_path / "x.toml")


def test_a_journal_of_an_earlier_version_is_read_and_gets_its_new_columns(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    Journal(path, COLUMNS).append_all(RECORDS)
    grown = Journal(path, (*COLUMNS, "more"), new_columns=("more",))
    old = [record | {"more": ""} for record in RECORDS]
    assert grown.records() == old
    new = dict.fromkeys(grown.columns, "x")
    grown.append(new)
    assert grown.records() == [*old, new]
    assert Journal(path, grown.columns).records() == [*old, new]
    with pytest.raises(FileFormatError, match="unexpected columns what, note, more; expected what, note"):
        Journal(path, COLUMNS).records()
