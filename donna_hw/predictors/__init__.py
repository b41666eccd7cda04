"""Accuracy predictors: accuracies of networks from metrics of their blocks."""
