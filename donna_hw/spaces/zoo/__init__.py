"""The shipped search spaces: the paper's and those of others."""
