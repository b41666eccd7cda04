"""A block as a graph of layers and its forms: torch, ONNX, TFLite and INT8; FLOP counts."""
