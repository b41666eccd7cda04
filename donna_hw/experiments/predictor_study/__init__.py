"""The predictor compared with its rivals, with intervals and the noise ceiling."""
