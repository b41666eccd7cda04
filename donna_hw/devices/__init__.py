"""Devices by name: what their files describe, and the backends that measure, simulate or count on them."""
