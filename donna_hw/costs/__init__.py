"""Costs of whole networks: sums of table rows, corrections by measured networks, Gaussian processes, quantiles and several devices."""
