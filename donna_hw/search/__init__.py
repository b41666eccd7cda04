"""Exact, NSGA-II and random search, Pareto fronts, and the loop that verifies a front on the device."""
