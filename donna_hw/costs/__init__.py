"""What whole networks cost: sums of table rows, corrections by whole networks, fits, quantiles, several devices."""
