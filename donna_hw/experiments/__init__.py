"""The paper's studies: predictor study, front benchmark, transfer, INT8, detection."""
