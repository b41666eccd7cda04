"""Names of costs: `latency@samsung_s20`, `energy@tensor_unit/VARIANT`, or a device's alone."""

from __future__ import annotations

from typing import NamedTuple

from donna_hw.devices.backends.base import UNITS
from donna_hw.errors import BadSetting, UnknownName

ONLY_BY_NAME = ("energy",)  # what a device's name alone never means: it means what the device is there to tell


class CostName(NamedTuple):
    """What a name asks for: a quantity ("" where none is named), a device, and a variant ("" where none is named)."""

    quantity: str
    device: str
    variant: str

    @classmethod
    def of(cls, text: str) -> CostName:
        """Read `[QUANTITY@]DEVICE[/VARIANT]`; raises `BadSetting`, and `UnknownName` for a quantity that is none."""
        place, slash, variant = text.partition("/")
        quantity, sign, device = place.rpartition("@")
        if not device or (slash and not variant) or (sign and not quantity):
            raise BadSetting("a cost is named [QUANTITY@]DEVICE[/VARIANT], such as latency@v100", found=text)
        if quantity and quantity not in UNITS:
            raise UnknownName("a cost's quantity must be a known one", found=quantity, known=UNITS)
        return cls(quantity, device, variant)

    def fits(self, quantity: str, variant: str) -> bool:
        """Return whether a table of the device, of that quantity and variant, is one that is asked for."""
        if self.variant and variant != self.variant:
            return False
        return quantity == self.quantity if self.quantity else bool(self.variant) or quantity not in ONLY_BY_NAME
