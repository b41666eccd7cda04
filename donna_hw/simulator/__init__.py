"""The simulator of a tensor unit: cycles, time and energy of a network from its shapes; `docs/tensor_unit.md` has every equation."""
