"""The paper's studies of a run: predictors, fronts against baselines, new blocks, INT8, detection, and the cost of a search."""
