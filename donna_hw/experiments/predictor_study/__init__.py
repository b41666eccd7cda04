"""Compare the accuracy predictor with its rivals, with confidence intervals and the noise ceiling."""
