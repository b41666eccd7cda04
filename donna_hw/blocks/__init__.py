"""What a network is made of: layers, the cells drawn from them, and their torch and ONNX forms."""
