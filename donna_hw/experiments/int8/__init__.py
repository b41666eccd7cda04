"""An unchanged predictor evaluated on INT8 blocks and networks."""
