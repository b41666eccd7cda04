"""Latency tables: read, write, look up, compare, check coverage and import."""
