"""Devices: one TOML file each, and the backends that time, simulate or count blocks."""
