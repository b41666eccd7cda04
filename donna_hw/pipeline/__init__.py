"""A whole experiment from one file: a recipe describes it, a run is its folder of results, and the steps fill that folder."""
