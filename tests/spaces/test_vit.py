"""Vision transformers: ViT-B/16 is timm's, tokens are distilled as maps are, and another network may teach them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from donna_hw import load_space
from donna_hw._core import torchvision_compat
from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD
from donna_hw.errors import ConfigError
from donna_hw.graph.builder import lower
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces.sections import lower_sections
from donna_hw.spaces.vit_cells import PatchEmbedding, Transformer
from donna_hw.spaces.zoo.vit import timm_state_dict
from donna_hw.training.distillation.block_evaluation import channel_variance, nsr

torchvision_compat.patch_torchvision()


def test_vit_b16_is_timms_vision_transformer() -> None:
    """Output by output, for images that each normalizes in its way; and the counts that timm publishes: 86.57 M parameters."""
    timm = pytest.importorskip("timm")
    space = load_space("vit_b16")
    graph = space.network_graph(space.reference)
    assert graph.params == 86_567_656
    torch.manual_seed(0)
    theirs = timm.create_model("vit_base_patch16_224", pretrained=False).eval()
    torch.manual_seed(0)
    state = timm_state_dict(pretrained=False)
    module = to_torch(graph).eval()
    module.load_state_dict(state)
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    own = (pixels - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    with torch.inference_mode():
        torch.testing.assert_close(module(own), theirs((pixels - 0.5) / 0.5), rtol=0, atol=1e-4)


def test_its_multiply_accumulates_are_the_closed_form() -> None:
    """Patches; in each layer four products with biases and two of attention, of 197 tokens; the classifier."""
    space = load_space("vit_b16")
    tokens, features = 197, 768
    layer = tokens * features * (4 * features + 2 * 4 * features) + 2 * tokens**2 * features + tokens * 9 * features
    graph = lower(Transformer(features, 1, features, 12, 4), (tokens, features))
    assert graph.macs == layer
    expected = 196 * (3 * 16**2 + 1) * features + 12 * layer + (features + 1) * 1000
    assert space.network_graph(space.reference).macs == expected


def test_stages_are_those_of_the_papers_appendix() -> None:
    tied, free = load_space("vit_b16"), load_space("vit_b16_81")
    assert tied.stage_sizes == (27,) * 4
    assert tied.size == 531_441  # "a fairly small search space of .5M architectures"
    assert free.stage_sizes == (81,) * 4
    assert free.network_graph(free.reference).macs == tied.network_graph(tied.reference).macs
    choices = [tied.stages[0].block(m) for m in range(27)]
    heads = {(each.embedding, each.heads) for each in choices if isinstance(each, Transformer)}
    assert heads == {(384, 4), (576, 8), (768, 12)}


def test_onnx_runtime_computes_what_torch_does() -> None:
    space = load_space("small_vit_8px")
    row = space.random_rows(1, 3)[0]
    graph = space.network_graph(space.architecture(row))
    module, image = to_torch(graph, seed=0).eval(), torch.randn(2, 1, 8, 8)
    model = to_onnx(graph, 2, {name: values.numpy() for name, values in module.state_dict().items()})
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {"input": image.numpy()})[0], module(image).numpy(), atol=1e-5)


def test_a_block_is_a_chain_of_its_layers() -> None:
    block = Transformer(48, 3, 24, 2, 3)
    parts = lower_sections(block, (17, 48))
    assert len(parts) == 3
    assert sum(part.macs for part in parts) == lower(block, (17, 48)).macs
    assert all(part.output_shape == (17, 48) for part in parts)


def test_the_noise_of_tokens_is_that_of_the_same_numbers_as_a_map() -> None:
    generator = torch.Generator().manual_seed(0)
    target, noise = (torch.randn(5, 6, 7, generator=generator) for _ in range(2))
    output = target + 0.1 * noise
    as_map = (each.transpose(1, 2).unsqueeze(3) for each in (output, target))
    assert torch.allclose(channel_variance(target), channel_variance(target.transpose(1, 2).unsqueeze(3)))
    assert float(nsr(output, target, channel_variance(target))) == pytest.approx(
        float(nsr(*as_map, channel_variance(target)))
    )


def test_what_cannot_be_cut_into_patches_or_heads_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"images must be square with a side that is a multiple of the patch \(2 pixels\)"
    ):
        lower(PatchEmbedding(8, 2), (1, 7, 7))
    with pytest.raises(ConfigError, match="heads must divide the embedding, 24"):
        replace(Transformer(48, 1, 24, 2, 3), heads=5)
    assert load_space("small_vit_8px@16px").output_shapes["patches"] == (65, 48)
