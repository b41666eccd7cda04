"""Known networks in this package's own layers, for comparison."""
