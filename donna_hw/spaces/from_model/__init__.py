"""Turn any torch model into a search space around itself."""
