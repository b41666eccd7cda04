"""Reading: how an ONNX model becomes a workload, a step a file; `donna_hw.simulator.onnx_reader` is the way in."""
