"""Read ONNX models as workloads of the simulator."""
