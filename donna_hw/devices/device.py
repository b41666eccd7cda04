"""Device: reads and checks a device's TOML, finds its backend, and makes sure that the device found is the one named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from donna_hw._core.resources import find_resource, resource_names
from donna_hw._core.toml_files import StrictModel, read_model
from donna_hw.devices.backends import load_backend
from donna_hw.devices.backends.base import Availability, Backend
from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.protocol import Protocol, get_protocol

_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class DeviceConfig(StrictModel):
    """The keys of a device's TOML; `devices/README.md` explains each with its unit.

    hardware: what a simulated device consists of, checked by its backend (`donna_hw.simulator.hardware`); no other backend takes one.
    """

    title: str
    backend: str
    protocol: str
    match: str = ""
    batch: int | None = Field(default=None, ge=1)
    options: dict[str, Scalar] = {}
    pool: list[dict[str, Scalar]] = []
    hardware: dict[str, Any] = {}
    sources: list[str] = []


@dataclass(frozen=True)
class Device:
    """A device by name: what its file says, and the backend that measures, simulates or counts on it."""

    name: str
    config: DeviceConfig

    @classmethod
    def load(cls, name: str) -> Device:
        """Read the device's file; raises `UnknownNameError`, `ConfigError` or `FileFormatError`. The backend is not loaded yet."""
        path = find_resource("devices", name)
        device = cls(path.stem, read_model(path, DeviceConfig))
        get_protocol(device.config.protocol)
        return device

    @property
    def protocol(self) -> Protocol:
        """The device's protocol, with the device's batch where its file names one."""
        protocol = get_protocol(self.config.protocol)
        return protocol if self.config.batch is None else replace(protocol, batch=self.config.batch)

    def expand_pool(self) -> list[Device]:
        """Return the devices that fill a table together: one for each entry of `pool`, whose options replace the file's; else this one."""
        if not self.config.pool:
            return [self]
        return [
            replace(
                self, config=self.config.model_copy(update={"options": {**self.config.options, **options}, "pool": []})
            )
            for options in self.config.pool
        ]

    def with_quantity(self, quantity: str) -> Device:
        """Return the device told to tell that quantity, such as `energy`; raises `ConfigError` where its backend cannot."""
        options = self.backend_class().options
        if "quantity" in options:
            return replace(
                self, config=self.config.model_copy(update={"options": {**self.config.options, "quantity": quantity}})
            )
        own = self.backend().quantity
        if quantity != own:
            raise ConfigError(
                f"device {self.name} must be able to tell what is asked for",
                got=quantity,
                choices=[own],
                hint="simulated tensor units tell energy: see donna-hw devices" if quantity == "energy" else "",
            )
        return self

    def backend_class(self) -> type[Backend]:
        """Return the class of the device's backend."""
        return load_backend(self.config.backend)

    def availability(self) -> Availability:
        """Say whether the device's backend can be used here, without raising."""
        try:
            return self.backend_class().availability()
        except (UnavailableError, UnknownNameError) as error:
            return Availability(False, error.message, error.hint)

    def backend(self) -> Backend:
        """Return the backend, ready to use, on the device that is named and no other.

        Raises `UnknownNameError` for an unknown option or key of the hardware, `ConfigError` for a bad value of one, and `UnavailableError` when the
        backend cannot be used here or when the device that it finds does not have `match` in its name.
        """
        kind = self.backend_class()
        for option, value in self.config.options.items():
            if option not in kind.options:
                raise UnknownNameError(
                    f"device {self.name}: an option of backend {self.config.backend} must be known",
                    got=option,
                    choices=sorted(kind.options),
                )
            wanted = type(kind.options[option])
            if type(value) is not wanted and not (wanted is float and type(value) is int):
                raise ConfigError(
                    f"device {self.name}: option {option} must be {_TYPE_NAMES[wanted]}",
                    got=value,
                    hint="mend the file",
                )
        available = kind.availability()
        if not available.ok:
            raise UnavailableError(
                f"device {self.name} needs backend {self.config.backend}", got=available.reason, hint=available.hint
            )
        backend = kind.of(self.protocol.batch, self.config.options, self.config.hardware, f"device {self.name}")
        found = backend.environment().device_model
        if self.config.match.lower() not in found.lower():
            raise UnavailableError(
                f"device {self.name} must be a {self.config.match!r}",
                got=found,
                hint="run on the named device, or write a device file for this one (docs/guides/device.md)",
            )
        return backend


def list_devices() -> list[str]:
    """Return the names of all devices that `Device.load` finds."""
    return resource_names("devices")
