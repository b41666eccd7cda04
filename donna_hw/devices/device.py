"""Device: a device's TOML file, validated, with its backend; a device of another name than the file's is rejected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from pydantic import ConfigDict, Field

from donna_hw._core.resources import find_resource, resource_names
from donna_hw._core.toml_files import StrictModel, read_model
from donna_hw.devices.backends import load_backend
from donna_hw.devices.backends.base import Availability, Backend
from donna_hw.errors import ConfigError, UnavailableError, UnknownNameError
from donna_hw.measurement.environment import Scalar
from donna_hw.measurement.protocol import Protocol, get_protocol

_TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class DeviceConfig(StrictModel):
    """The keys of a device's TOML file; `devices/README.md` explains each with its unit.

    The table `hardware` describes a simulated device and is validated by its backend (`donna_hw.simulator.hardware`).
    """

    model_config = ConfigDict(allow_inf_nan=True)  # hardware and options may be infinite

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
    """A device by name: its file, and the backend that measures, simulates or counts on it.

    Attributes:
        name: Name of the device, which is that of its file.
        config: The keys of the file.
    """

    name: str
    config: DeviceConfig

    @classmethod
    def load(cls, name: str) -> Device:
        """Read a device's file; its backend is not loaded yet.

        Args:
            name: Name of a device, or path of a TOML file.

        Raises:
            UnknownNameError: The device, a key of its file or its protocol is unknown.
            ConfigError: A key is missing or has a bad value.
            FileFormatError: The file is not valid TOML.
        """
        path = find_resource("devices", name)
        device = cls(path.stem, read_model(path, DeviceConfig))
        get_protocol(device.config.protocol)
        return device

    @property
    def protocol(self) -> Protocol:
        """The device's protocol, with the device's batch where its file has one."""
        protocol = get_protocol(self.config.protocol)
        return protocol if self.config.batch is None else replace(protocol, batch=self.config.batch)

    def expand_pool(self) -> list[Device]:
        """Return the devices that fill a table together: one per entry of `pool`, with its options; without a pool this device."""
        if not self.config.pool:
            return [self]
        return [
            replace(
                self, config=self.config.model_copy(update={"options": {**self.config.options, **options}, "pool": []})
            )
            for options in self.config.pool
        ]

    def with_quantity(self, quantity: str) -> Device:
        """Return the device set to a quantity, such as `energy`; raises `ConfigError` where its backend does not have it."""
        options = self.backend_class().options
        if "quantity" in options:
            return replace(
                self, config=self.config.model_copy(update={"options": {**self.config.options, "quantity": quantity}})
            )
        backend_quantity = self.backend().quantity
        if quantity != backend_quantity:
            raise ConfigError(
                f"device {self.name} does not have this quantity",
                got=quantity,
                choices=[backend_quantity],
                hint="simulated tensor units have energy: see donna-hw devices" if quantity == "energy" else "",
            )
        return self

    def backend_class(self) -> type[Backend]:
        """Return the class of the device's backend."""
        return load_backend(self.config.backend)

    def availability(self) -> Availability:
        """Return whether the device's backend can be used here, without raising."""
        try:
            return self.backend_class().availability()
        except (UnavailableError, UnknownNameError) as error:
            return Availability(False, error.message, error.hint)

    def backend(self) -> Backend:
        """Return the backend, ready to use on this device and no other.

        Raises:
            UnknownNameError: The backend, an option or a key of the hardware is unknown.
            ConfigError: An option or the hardware has a bad value.
            UnavailableError: The backend cannot be used here, or the device that it finds does not have `match` in its name.
        """
        backend_class = self.backend_class()
        self._validate_options(backend_class)
        available = backend_class.availability()
        if not available.ok:
            raise UnavailableError(
                f"device {self.name}: backend {self.config.backend} is not available: {available.reason}",
                hint=available.hint,
            )
        backend = backend_class.of(
            self.protocol.batch, self.config.options, self.config.hardware, f"device {self.name}"
        )
        model = backend.environment().device_model
        if self.config.match.lower() not in model.lower():
            raise UnavailableError(
                f"device {self.name} must be a {self.config.match!r}",
                got=model,
                hint="run on that device, or write a device file for this one (docs/guides/device.md)",
            )
        return backend

    def _validate_options(self, backend_class: type[Backend]) -> None:
        for option, value in self.config.options.items():
            if option not in backend_class.options:
                raise UnknownNameError(
                    f"device {self.name}: unknown option of backend {self.config.backend}",
                    got=option,
                    choices=sorted(backend_class.options),
                )
            expected = type(backend_class.options[option])
            if type(value) is not expected and not (expected is float and type(value) is int):
                raise ConfigError(f"device {self.name}: option {option} must be {_TYPE_NAMES[expected]}", got=value)


def list_devices() -> list[str]:
    """Return the names of all devices that `Device.load` finds."""
    return resource_names("devices")
