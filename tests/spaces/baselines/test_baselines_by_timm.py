"""Our drawings of the baselines against timm's models: the same counts, and with timm's weights the same outputs."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from donna_hw._core import torchvision_compat
from donna_hw.graph.builder import lower
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces.baselines.registry import NETWORKS, build_baseline

TIMM = [name for name in NETWORKS if not name.startswith(("proxylessnas", "dna"))]  # timm has neither


def timm_model(name: str) -> nn.Module:
    """Return timm's model without weights: drawing them would take longer than all the rest."""
    assert torchvision_compat.patch_torchvision()
    import timm

    with torch.device("meta"):
        model: nn.Module = timm.create_model(name, pretrained=False)
    return model.eval()


def counted(model: nn.Module, pixels: int) -> int:
    """Return the multiply-accumulates of all convolutions and linear layers as they are called on an image."""
    macs: list[int] = []

    def count(module: nn.Conv2d | nn.Linear, _: Any, out: Tensor) -> None:
        macs.append(prod(module.weight.shape) * (prod(out.shape[2:]) if isinstance(module, nn.Conv2d) else 1))

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    model(torch.zeros(1, 3, pixels, pixels, device="meta"))
    return sum(macs)


@pytest.mark.parametrize("name", TIMM)
def test_macs_and_parameters_are_timms(name: str) -> None:
    model, graph = timm_model(name), lower(build_baseline(name), (3, 224, 224))
    assert graph.params == sum(parameter.numel() for parameter in model.parameters())
    assert graph.macs == counted(model, 224)


def tensors(model: nn.Module) -> list[Tensor]:
    return [tensor for key, tensor in model.state_dict().items() if not key.endswith("num_batches_tracked")]


@pytest.mark.parametrize("name", TIMM)
def test_with_timms_weights_the_outputs_are_timms(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, 64, 64, generator=generator)
    theirs = timm_model(name).to_empty(device="cpu")
    for module in theirs.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.dim() > 1:  # a gain of 2 over the inputs of an output keeps the signal through ReLUs
                parameter.data.normal_(0, (2 / prod(parameter.shape[1:])) ** 0.5, generator=generator)
            else:
                parameter.data.uniform_(-0.3, 0.3, generator=generator)
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.6, 1.4, generator=generator)
            module.reset_running_stats()
            module.momentum = 1.0
    with torch.inference_mode():
        theirs.train()(images)  # every batch-norm gets statistics of its own
    theirs.eval()
    with torch.device("meta"):
        ours = to_torch(lower(build_baseline(name), (3, 64, 64)))
    ours.to_empty(device="cpu").eval()
    for mine, given in zip(tensors(ours), tensors(theirs), strict=True):
        mine.copy_(given.reshape(mine.shape))
    with torch.inference_mode():
        found, expected = ours(images), theirs(images)
    largest = float(expected.abs().max())
    assert float((expected[0] - expected[1]).abs().max()) > 0.01 * largest, "the images must matter"
    assert float((found - expected).abs().max()) <= 1e-5 * largest
