"""A whole experiment: recipes, runs and their steps."""
