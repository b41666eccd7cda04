"""A block as a graph of layers, and its forms: torch, ONNX, TensorFlow Lite and INT8, with counts of its work."""
