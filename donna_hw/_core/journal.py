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

csv.field_size_limit(2**31 - 1)  # the samples of a trial are one long field


class Journal:
    """An append-only CSV of one line per record, synced before `append` returns, so that a kill loses at most the record being written.

    A last line without its newline is incomplete: it is ignored when read and cut off before the next record. A broken line anywhere
    else raises `FileFormatError` with its number: nothing is dropped silently.

    Args:
        path: The file, created with the first record.
        columns: All its columns.
        new_columns: The last of the columns, which files of earlier versions lack. Such a file is read with them empty, and is
            rewritten with them before the next record.
    """

    def __init__(self, path: Path, columns: Sequence[str], new_columns: Sequence[str] = ()) -> None:
        self.path, self.columns, self._new_columns = path, tuple(columns), tuple(new_columns)
        self._tail_checked = False

    def records(self) -> list[dict[str, str]]:
        """Return every complete record, oldest first; a missing file has none."""
        if not self.path.exists():
            return []
        lines = self._complete_lines()
        if not lines:
            return []
        header, *rows = (self._fields(line, number) for number, line in enumerate(lines, start=1))
        if self._lacks_new_columns(header):
            header, rows = [*header, *self._new_columns], [[*row, *[""] * len(self._new_columns)] for row in rows]
        if tuple(header) != self.columns:
            raise FileFormatError(
                f"{self.path}: unexpected columns {', '.join(header)}",
                hint=f"expected {', '.join(self.columns)}; the file is of another version or corrupt: move it away",
            )
        for number, row in enumerate(rows, start=2):
            if len(row) != len(self.columns):
                raise FileFormatError(
                    f"{self.path}, line {number}: {len(row)} fields instead of {len(self.columns)}",
                    hint="restore the file, or delete this line to have its work done again",
                )
        return [dict(zip(header, row, strict=True)) for row in rows]

    def _complete_lines(self) -> list[str]:
        """Return the lines that end; an incomplete one may end inside a character, so it is cut off before decoding."""
        complete, newline, _ = self.path.read_bytes().rpartition(b"\n")
        try:
            return (complete + newline).decode().split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{self.path}: not a text file in UTF-8", got=str(error), hint="restore it") from None

    def _fields(self, line: str, number: int) -> list[str]:
        """Return one line's fields; an open quote ends with its line and does not take in the next."""
        try:
            return next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise FileFormatError(
                f"{self.path}, line {number}: broken record",
                got=str(error),
                hint="restore the file, or delete this line to have its work done again",
            ) from None

    def append(self, record: Mapping[str, object]) -> None:
        """Add one record and sync it to the disk; a failed write leaves the journal as it was."""
        self.append_all([record])

    def append_all(self, records: Iterable[Mapping[str, object]]) -> None:
        """Add records and sync them once; a kill saves the first of them completely, a failed write leaves the journal as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._tail_checked:
            self._cut_incomplete_line()
            self._upgrade_columns()
            self._tail_checked = True
        with self.path.open("ab", buffering=0) as file:
            size = file.tell()
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            if size == 0:
                writer.writerow(self.columns)
            for record in records:
                writer.writerow([" ".join(re.split("[\r\n]", str(record[column]))) for column in self.columns])
            data = text.getvalue().encode()
            try:
                while data:
                    data = data[file.write(data) :]
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, size)
                raise

    def _lacks_new_columns(self, header: Sequence[str]) -> bool:
        return bool(self._new_columns) and tuple(header) == self.columns[: -len(self._new_columns)]

    def _upgrade_columns(self) -> None:
        """Rewrite a file of an earlier version with the columns that it lacks."""
        if not (self._new_columns and self.path.exists()):
            return
        with self.path.open(encoding="utf-8") as file:
            header = next(csv.reader([file.readline()]), [])
        if header and self._lacks_new_columns(header):
            records = self.records()
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows([record[column] for column in self.columns] for record in records)
            write_atomic(self.path, text.getvalue())

    def _cut_incomplete_line(self) -> None:
        """Cut off what follows the file's last newline: a record whose writing was interrupted."""
        if self.path.exists():
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end < len(data):
                os.truncate(self.path, end)
