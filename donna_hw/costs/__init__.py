"""Costs of whole networks: sums of table rows, corrections, fits, Gaussian processes, quantiles and several devices."""
