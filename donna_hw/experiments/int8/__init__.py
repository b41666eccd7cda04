"""Evaluate a predictor, fitted to float networks, on INT8 blocks and networks."""
