"""Predictors of accuracy compared with baselines on networks that none was fitted to (paper, tables 4 to 8)."""
