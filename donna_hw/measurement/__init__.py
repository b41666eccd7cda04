"""Samples of a measurement and what follows from them: protocols, stopping, intervals, verdicts. No devices."""
