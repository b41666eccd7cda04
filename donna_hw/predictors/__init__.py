"""Predictors of the accuracy of a finetuned network from the qualities of its blocks."""
