"""Devices, each described by a TOML file, and the backends that time, simulate or count blocks."""
