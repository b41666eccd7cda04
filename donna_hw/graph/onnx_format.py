"""What all ONNX models of this package share: the opset, the version, and the form of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

OPSET = 17
IR_VERSION = 8  # the lowest that opset 17 allows: every ONNX Runtime since 1.12 reads it

Weights = Mapping[str, np.ndarray]  # torch's state dict as numpy arrays
