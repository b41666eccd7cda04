"""Torch modules of one's own as layers, and the Python files that they come from."""
