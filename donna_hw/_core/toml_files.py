"""TOML files, read into frozen pydantic models that refuse unknown keys and values of another type."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, ValidationError

from donna_hw._core.files import read_text, write_atomic
from donna_hw.errors import ConfigError, FileFormatError, UnknownNameError

Model = TypeVar("Model", bound=BaseModel)


class StrictModel(BaseModel):
    """A part of a TOML file: only known keys, values of their own type, no infinite number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as TOML, atomically."""
    write_atomic(path, tomli_w.dumps(dict(content)))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the TOML file's content; a duplicate key or a torn file is a `FileFormatError` that names the place."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of more digits than Python reads
        raise FileFormatError(f"{path} must be valid TOML", got=str(error), hint="mend the named place") from None
    except RecursionError:
        raise FileFormatError(f"{path} must not nest hundreds of levels deep", hint="restore it") from None


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into the frozen `model`; unknown keys and bad values name the key, the rule and the file."""
    return parse_model(read_toml(path), model, str(path))


def parse_model(content: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Check `content` against `model`; the first broken rule is raised as `UnknownNameError` or `ConfigError`."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        # an unknown key comes first: it is often the missing one, mistyped
        first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    names, beside = _resolve_location(model, first["loc"])
    key = ".".join(names)
    if first["type"] == "union_tag_invalid":
        known = [name.strip("' ") for name in first["ctx"]["expected_tags"].split(",")]
        choice = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}"
        raise UnknownNameError(f"{where}: {choice} must be a known one", got=first["ctx"]["tag"], choices=known)
    if first["type"] == "extra_forbidden":
        name = names[-1]
        raise UnknownNameError(
            f"{where}: every key must be a known one, {key!r} is not",
            got=name,
            choices=sorted(beside.model_fields),
        )
    if first["type"] == "missing":
        raise ConfigError(f"{where}: the key {key!r} must be given", hint=f"add {key} = ...")
    raise ConfigError(f"{where}: {key}: {first['msg']}", got=first["input"], hint="mend the value")


def _resolve_location(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], type[BaseModel]]:
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
