"""Compare a front with random networks and scaled references of equal measured latency."""
