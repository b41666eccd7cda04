"""Any torch model as a search space around itself: traced, cut into stages, with candidates in their place."""
