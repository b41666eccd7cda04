"""What is measured, as numbers alone: samples, protocols, intervals, verdicts; no devices."""
