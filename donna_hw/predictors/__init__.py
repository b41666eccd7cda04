"""Accuracy predictors: from the metrics of blocks to the accuracy of a whole network."""
