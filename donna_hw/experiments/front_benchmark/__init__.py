"""The front compared with random networks and scaled references of equal measured latency."""
