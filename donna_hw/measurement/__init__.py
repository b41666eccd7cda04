"""Protocols, stopping rules, intervals and verdicts: all that is computed from the samples of a measurement, without a device."""
