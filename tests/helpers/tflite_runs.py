"""Run TensorFlow Lite files with the LiteRT interpreter, and compare them with torch."""

from __future__ import annotations

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from donna_hw.graph.graph import Graph
from donna_hw.graph.tflite_export import to_tflite
from donna_hw.graph.torch_module import to_torch

TOLERANCE = 1e-5  # of the largest output


def run_tflite(model: bytes, images: np.ndarray) -> np.ndarray:
    """Return the output for images [batch, channels, height, width] or [batch, features], in the same layout."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    channels_last = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(channels_last))
    interpreter.invoke()
    output: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return output.transpose(0, 3, 1, 2) if output.ndim == 4 else output


def assert_agrees_with_torch(graph: Graph, batch: int = 1, seed: int = 0) -> None:
    """Assert that the file of a graph computes what its torch module does, with the same random weights."""
    module = to_torch(graph, seed).eval()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    images = np.random.default_rng(seed).standard_normal((batch, *graph.input_shape), dtype=np.float32)
    with torch.inference_mode():
        expected = module(torch.from_numpy(images)).numpy()
    output = run_tflite(to_tflite(graph, batch, weights), images)
    assert output.shape == expected.shape
    largest = max(float(np.abs(expected).max()), np.finfo(np.float32).tiny)
    assert np.abs(output - expected).max() / largest <= TOLERANCE
