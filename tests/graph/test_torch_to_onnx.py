"""Torch's exporter for any module; that it agrees with the directly built models is tested in test_torch_and_onnx_agree."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from donna_hw.errors import ConfigError
from donna_hw.graph.torch_to_onnx import export_onnx


class Gelu(nn.Module):
    """What no space is made of: it drops values in training, and splits and joins channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.conv(x).chunk(2, 1)
        return self.drop(nn.functional.gelu(torch.cat([b, a], 1)))


def test_a_module_of_any_operators_computes_the_same_and_keeps_its_mode() -> None:
    module = Gelu().train()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = export_onnx(module, (3, 8, 8), batch=2)
    assert module.training
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 17
    image = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [node.shape for node in session.get_inputs()] == [[2, 3, 8, 8]]
    found = session.run(["output"], {"input": image.numpy()})[0]
    with torch.no_grad():
        expected = module.eval()(image).numpy()
    assert np.abs(found - expected).max() <= 1e-5


class Eigenvalues(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x)


class Two(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x + 1, x + 2


@pytest.mark.parametrize(
    ("module", "shape", "message"),
    [
        (nn.Linear(4, 4), (5,), r"export Linear on an input of shape \(1, 5\); got .*cannot be multiplied"),
        (nn.Conv2d(3, 4, 3), (2, 8, 8), r"export Conv2d.*expected input\[1, 2, 8, 8\] to have 3 channels"),
        (Eigenvalues(), (3, 3), "export Eigenvalues.*linalg_eigvals"),
        (Two(), (3,), "Two must have one output; got 2"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(
    module: nn.Module, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        export_onnx(module, shape)
    assert "\n" not in str(caught.value)


def test_a_branch_on_values_is_warned_of() -> None:
    class Branch(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1 if x.sum() > 0 else x - 1

    with pytest.warns(torch.jit.TracerWarning, match="Python boolean"):
        export_onnx(Branch(), (3,))
