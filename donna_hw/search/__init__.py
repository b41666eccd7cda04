"""Search for the best networks: exact, NSGA-II and random; Pareto fronts, and the loop that verifies them."""
