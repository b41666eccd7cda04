"""Read ONNX models into workloads of the simulated tensor unit."""
