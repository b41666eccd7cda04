"""Files that survive a kill: whole files are replaced atomically, journals grow by whole synced lines."""

from __future__ import annotations

import csv
import io
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from donna_hw.errors import BadFile, BadSetting, Busy, UnknownName

csv.field_size_limit(2**31 - 1)  # a visit of many samples is one long field

Model = TypeVar("Model", bound=BaseModel)


class Part(BaseModel):
    """A part of a TOML file: only known keys, values of their own type, no infinite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Replace `path` by `content` so that a reader, or a kill at any moment, sees the old file or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.tmp")  # one name, so that what a kill left is overwritten next time
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as TOML, atomically."""
    write_atomic(path, tomli_w.dumps(dict(content)))


def read_text(path: Path) -> str:
    """Return the file's text; a file that is missing or not UTF-8 is a `BadFile`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadFile("the file must exist", found=str(path), cure="check the path") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise BadFile(f"{path} must be a text file in UTF-8", found=str(error), cure="restore or delete it") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Return the TOML file's content; a duplicate key or a torn file is a `BadFile` that names the place."""
    try:
        return tomllib.loads(read_text(path))
    except ValueError as error:  # a TOMLDecodeError, or a number of more digits than Python reads
        raise BadFile(f"{path} must be valid TOML", found=str(error), cure="mend the named place") from None
    except RecursionError:
        raise BadFile(f"{path} must not nest hundreds of levels deep", cure="restore it") from None


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into the frozen `model`; unknown keys and bad values name the key, the rule and the file."""
    return parse_model(read_toml(path), model, str(path))


def parse_model(content: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Check `content` against `model`; the first broken rule is raised as `UnknownName` or `BadSetting`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        # an unknown key comes first: it is often the missing one, mistyped
        first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    names, beside = _followed(model, first["loc"])
    key = ".".join(names)
    if first["type"] == "union_tag_invalid":
        known = [name.strip("' ") for name in first["ctx"]["expected_tags"].split(",")]
        choice = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}"
        raise UnknownName(f"{where}: {choice} must be a known one", found=first["ctx"]["tag"], known=known)
    if first["type"] == "extra_forbidden":
        name = names[-1]
        raise UnknownName(
            f"{where}: every key must be a known one, {key!r} is not",
            found=name,
            known=sorted(beside.model_fields),
        )
    if first["type"] == "missing":
        raise BadSetting(f"{where}: the key {key!r} must be given", cure=f"add {key} = ...")
    raise BadSetting(f"{where}: {key}: {first['msg']}", found=first["input"], cure="mend the value")


def _followed(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], type[BaseModel]]:
    """Return the keys that `location` names, and the model that has the last of them.

    Below a field of several models comes the name of the one that was chosen, which is no key.
    """
    keys: list[str] = []
    current, inner = model, model
    choices: dict[str, type[BaseModel]] = {}
    for part in location:
        if choices:
            inner, choices = choices.get(str(part), inner), {}
            continue
        current = inner
        keys.append(str(part))
        field = current.model_fields.get(str(part))
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = field.annotation
        elif isinstance(field.discriminator, str):
            choices = {m.model_fields[field.discriminator].default: m for m in get_args(field.annotation)}
    return keys, current


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; a second process is told so at once with `Busy`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Busy(
            "only one process may write a run at a time",
            found=f"a lock held on {path.parent}",
            cure="wait for it to end, or choose another folder with --out",
        ) from None
    try:
        yield
    finally:
        lock.release()


class Journal:
    """An append-only CSV of one line a record, synced before `append` returns, so that a kill loses at most what is being written.

    A last line without its newline is torn: it is passed over when read and cut off before the next record.
    A broken line anywhere else raises `BadFile` with its number: nothing is dropped silently. added: the last columns, which the files of
    earlier versions lack; such a file is read with them empty, and gets them before the next record.
    """

    def __init__(self, path: Path, columns: Sequence[str], added: Sequence[str] = ()) -> None:
        self.path, self.columns, self._added = path, tuple(columns), tuple(added)
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
            raise BadFile(
                f"{self.path} must have the columns {', '.join(self.columns)}",
                found=", ".join(header),
                cure="it belongs to another version or is corrupt: move it away",
            )
        for number, row in enumerate(rows, start=2):
            if len(row) != len(self.columns):
                raise BadFile(
                    f"{self.path}, line {number}: a record must have {len(self.columns)} fields",
                    found=f"{len(row)} fields",
                    cure="restore the file, or delete this line to have its work done again",
                )
        return [dict(zip(header, row, strict=True)) for row in rows]

    def _whole_lines(self) -> list[str]:
        """Return the lines that end; a torn one may end inside a character, so it is cut off before decoding."""
        whole, newline, _ = self.path.read_bytes().rpartition(b"\n")
        try:
            return (whole + newline).decode().split("\n")[:-1]
        except UnicodeDecodeError as error:
            raise BadFile(f"{self.path} must be a text file in UTF-8", found=str(error), cure="restore it") from None

    def _fields(self, line: str, number: int) -> list[str]:
        """Return one line's fields; a quote left open ends with its line and swallows no other."""
        try:
            return next(csv.reader([line], strict=True), [])
        except csv.Error as error:
            raise BadFile(
                f"{self.path}, line {number}: a record must be whole",
                found=str(error),
                cure="restore the file, or delete this line to have its work done again",
            ) from None

    def append(self, record: Mapping[str, object]) -> None:
        """Add one record and sync it to the disk; a failed write leaves the journal as it was."""
        self.append_all([record])

    def append_all(self, records: Iterable[Mapping[str, object]]) -> None:
        """Add records and sync them once; a kill keeps the first of them whole, a failed write leaves the journal as it was."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self._tail_checked:
            self._cut_torn_tail()
            self._bring_up_to_date()
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

    def _bring_up_to_date(self) -> None:
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
