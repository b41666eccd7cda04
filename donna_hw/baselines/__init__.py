"""Baselines: the networks of the paper's Table 3, in our own layers, and what is published of them."""
