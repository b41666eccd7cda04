"""TOML files, read into frozen pydantic models that reject unknown keys and values of another type."""

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
    """A section of a TOML file: only known keys, values of exactly their type, finite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def write_toml(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content` as TOML, atomically."""
    write_atomic(path, tomli_w.dumps(dict(content)))


def read_toml(path: Path) -> dict[str, Any]:
    """Return the TOML file's content; a duplicate key or an incomplete file is a `FileFormatError` that names the place."""
    text = read_text(path)
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of more digits than Python reads
        raise FileFormatError(f"{path}: not valid TOML", got=str(error), hint="fix the place that is named") from None
    except RecursionError:
        raise FileFormatError(f"{path}: nested hundreds of levels deep", hint="restore it") from None


def read_model(path: Path, model: type[Model]) -> Model:
    """Read a TOML file into the frozen `model`; raises what `parse_model` and `read_toml` do."""
    return parse_model(read_toml(path), model, str(path))


def parse_model(content: Mapping[str, Any], model: type[Model], where: str) -> Model:
    """Return the content of a TOML file as a model.

    Args:
        content: The file's keys and values.
        model: The pydantic model to validate them against.
        where: The file's path, for messages.

    Raises:
        UnknownNameError: A key, or the name that selects one of several sections, is unknown.
        ConfigError: A key is missing, or has a bad value.
    """
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        # an unknown key comes first: it is often the missing one, mistyped
        first = min(problem.errors(), key=lambda error: error["type"] != "extra_forbidden")
    keys, section = _resolve_location(model, first["loc"])
    key = ".".join(keys)
    if first["type"] == "union_tag_invalid":
        tags = [tag.strip("' ") for tag in first["ctx"]["expected_tags"].split(",")]
        selector = f"{key}.{first['ctx']['discriminator'].strip(chr(39))}"
        raise UnknownNameError(f"{where}: unknown {selector}", got=first["ctx"]["tag"], choices=tags)
    if first["type"] == "extra_forbidden":
        place = f"{where}, [{'.'.join(keys[:-1])}]" if keys[:-1] else where
        raise UnknownNameError(f"{place}: unknown key", got=keys[-1], choices=sorted(section.model_fields))
    if first["type"] == "missing":
        raise ConfigError(f"{where}: missing key {key!r}", hint=f"add {key} = ...")
    raise ConfigError(f"{where}: {key}: {first['msg']}", got=first["input"])


def _resolve_location(model: type[BaseModel], location: Sequence[int | str]) -> tuple[list[str], type[BaseModel]]:
    """Return the keys that `location` names, and the model that has the last of them.

    Below a field of several possible models pydantic puts the tag of the selected one, which is not a key.
    """
    keys: list[str] = []
    current, inner = model, model
    models_by_tag: dict[str, type[BaseModel]] = {}
    for part in location:
        if models_by_tag:
            inner, models_by_tag = models_by_tag.get(str(part), inner), {}
            continue
        current = inner
        keys.append(str(part))
        field = current.model_fields.get(str(part))
        if field is None:
            continue
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            inner = field.annotation
        elif isinstance(field.discriminator, str):
            models_by_tag = {m.model_fields[field.discriminator].default: m for m in get_args(field.annotation)}
    return keys, current
