"""The paper's studies: accuracy predictors, front benchmark, transfer to new blocks, INT8 and object detection."""
