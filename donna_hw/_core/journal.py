"""A journal: a CSV that grows by whole synced lines, so that a kill loses at most the line being written."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from donna_hw._core.files import write_atomic
from donna_hw.errors import FileFormatError

csv.field_size_limit(2**31 - 1)  # a visit of many samples is one long field


class Journal:
    """An append-only CSV of one line a record, synced before `append` returns, so that a kill loses at most what is being written.

    A last line without its newline is torn: it is passed over when read and cut off before the next record.
    A broken line anywhere else raises `FileFormatError` with its number: nothing is dropped silently. added: the last columns, which the files of
    earlier versions lack; such a file is read with them empty, and gets them before the next record.
    """

    def __init__(self, path: Path, columns: Sequence[str], new_columns: Sequence[str] = ()) -> None:
        self.path, self.columns, self._added = path, tuple(columns), tuple(new_columns)
        self._tail_checked = False

    def records(self) -> list[dict[str, str]]:
        """Return every whole record, oldest first; an absent file has none."""
        if not self.path.exists():
            return []
        lines = self._whole_lines()
        if not lines:
            return []
        header, *rows = (self._fields(line, number) for number, line in enumerate(lines, start=1))
        if self._added and tuple(header) == self.columns[: -len(self._added)]:
            header, rows = [*header, *self._added], [[*row, *[""] * len(self._added)] for row in rows]
        if tuple(header) != self.columns:
            raise FileFormatError(
                f"{self.path} must have the columns {', '.join(self.columns)}",
                got=", ".join(header),
                hint="it belongs to another version or is corrupt: move it away",
            )
        for number, row in enumerate(rows, start=2):
            if len(row) != len(self.columns):
                raise FileFormatError(
                    f"{self.path}, line {number}: a record must have {len(self.columns)} fields",
                    got=f"{len(row)} fields",
                    hint="restore the file, or delete this line to have its work done again",
                )
        return [dict(zip(header, row, strict=True)) for row in rows]

    def _whole_lines(self) -> list[str]:
        """Return the lines that end; a torn one may end inside a character, so it is cut off before decoding."""
        whole, newline, _ = self.path.read_bytes().rpartition(b"\n")
        try:
            return (whole + newline).decode().split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise FileFormatError(
                f"{self.path} must be a text file in UTF-8", got=str(error), hint="restore it"
            ) from None

    def _fields(self, line: str, number: int) -> list[str]:
        """Return one line's fields; a quote left open ends with its line and swallows no other."""
        try:
            return next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise FileFormatError(
                f"{self.path}, line {number}: a record must be whole",
                got=str(error),
                hint="restore the file, or delete this line to have its work done again",
            ) from None

    def append(self, record: Mapping[str, object]) -> None:
        """Add one record and sync it to the disk; a failed write leaves the journal as it was."""
        self.append_all([record])

    def append_all(self, records: Iterable[Mapping[str, object]]) -> None:
        """Add records and sync them once; a kill keeps the first of them whole, a failed write leaves the journal as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._tail_checked:
            self._cut_torn_tail()
            self._upgrade_columns()
            self._tail_checked = True
        with self.path.open("ab", buffering=0) as file:
            whole = file.tell()
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if whole == 0:
                writer.writerow(self.columns)
            for record in records:
                writer.writerow([" ".join(re.split("[\r\n]", str(record[column]))) for column in self.columns])
            data = text.getvalue().encode()
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, whole)
                raise

    def _upgrade_columns(self) -> None:
        """Write a file of an earlier version anew, with the columns that it lacks."""
        if not (self._added and self.path.exists()):
            return
        with self.path.open(encoding="utf-8") as file:
            header = next(csv.reader([file.readline()]), [])
        if header and tuple(header) == self.columns[: -len(self._added)]:
            records = self.records()
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows([record[column] for column in self.columns] for record in records)
            write_atomic(self.path, text.getvalue())

    def _cut_torn_tail(self) -> None:
        """Cut off what follows the file's last newline: the record that a kill tore."""
        if self.path.exists():
            data = self.path.read_bytes()
            whole = data.rfind(b"\n") + 1
            if whole < len(data):
                os.truncate(self.path, whole)
