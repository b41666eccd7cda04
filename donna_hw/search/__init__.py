"""Exact, NSGA-II and random search; Pareto fronts; the loop that verifies them on the device."""
