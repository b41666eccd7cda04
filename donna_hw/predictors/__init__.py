"""Accuracy predictors: the accuracy of a network from the metrics of its blocks."""
