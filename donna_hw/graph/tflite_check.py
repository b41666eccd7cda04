"""Whether a TensorFlow Lite file computes what torch does, by the LiteRT interpreter on this machine."""

from __future__ import annotations

import numpy as np

from donna_hw.errors import BadFile, Unavailable
from donna_hw.graph.graph import Graph
from donna_hw.graph.tflite_export import to_tflite

TOLERANCE = 1e-5  # of the largest output


def run_tflite(model: bytes, images: np.ndarray) -> np.ndarray:
    """Return the output for images [batch, channels, height, width] or [batch, features], laid out as they are."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise Unavailable(
            "running TensorFlow Lite files here needs LiteRT", found=str(error), cure="pip install 'donna-hw[android]'"
        ) from None
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    first = images.transpose(0, 2, 3, 1) if images.ndim == 4 else images
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.ascontiguousarray(first))
    interpreter.invoke()
    found: np.ndarray = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found.transpose(0, 3, 1, 2) if found.ndim == 4 else found


def check_tflite(graph: Graph, batch: int = 1, seed: int = 0) -> float:
    """Return by how much a graph's file deviates from its torch module, as a share of the largest output.

    Raises `BadFile` beyond `TOLERANCE`.
    """
    import torch

    from donna_hw.graph.torch_module import to_torch

    module = to_torch(graph, seed).eval()
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    images = np.random.default_rng(seed).standard_normal((batch, *graph.input_shape), dtype=np.float32)
    with torch.inference_mode():
        wanted = module(torch.from_numpy(images)).numpy()
    found = run_tflite(to_tflite(graph, batch, weights), images)
    if found.shape != wanted.shape:
        raise BadFile(
            "a TensorFlow Lite file must have the output of its block", found=f"{found.shape}, not {wanted.shape}"
        )
    deviation = float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), np.finfo(np.float32).tiny))
    if not deviation <= TOLERANCE:
        raise BadFile(f"a TensorFlow Lite file must agree with torch to {TOLERANCE:g}", found=f"{deviation:.2g}")
    return deviation
