"""Searches for the networks that no other beats in accuracy and cost at once."""
