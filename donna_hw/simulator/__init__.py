"""The simulator of a tensor unit: cycles, time and energy of a network from its shapes.

`docs/tensor_unit.md` has every equation.
"""

from __future__ import annotations

MODEL_VERSION = 1  # of the equations; tables of different versions must not be mixed
