"""A block as a graph of layers, its forms in torch, ONNX, TFLite and INT8, and its FLOP counts."""
