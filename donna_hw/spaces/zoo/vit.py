"""Vision transformers (paper, appendix C): ViT-B/16 in four stages of three layers, and small ones for small images.

The paper searches depth {1, 2, 3}, embedding {384, 576, 768}, heads {4, 8, 12} and mlp ratio {2, 3, 4}: 81 blocks a stage. Its counts (0.5
million networks, 135 epochs) are those of 27, three axes of three values: `vit_b16` ties the heads to the embedding, `vit_b16_81` does not.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage, Value
from donna_hw.spaces.vit_cells import PatchEmbedding, Transformer, TransformerHead

if TYPE_CHECKING:
    from torch import Tensor

STAGES, DEPTHS = 4, (1, 2, 3)


def vit_b16() -> Space:
    """ViT-B/16 on 224x224 images, the heads tied to the embedding: 27 blocks a stage."""
    tied = _tied((384, 576, 768), (4, 8, 12))
    return _vit_b16("vit_b16", "ViT-B/16, heads tied to the embedding", (tied,))


def vit_b16_81() -> Space:
    """ViT-B/16 on 224x224 images, heads searched for themselves: 81 blocks a stage."""
    return _vit_b16("vit_b16_81", "ViT-B/16", (Axis("embedding", (384, 576, 768)), Axis("heads", (4, 8, 12))))


def small_vit_8px() -> Space:
    """A narrow one for 8x8 images in patches of 2x2: 27 blocks a stage."""
    return _space(
        "small_vit_8px", "a transformer on 8x8 images", (1, 8, 8), (48, 2, 10), (_tied((24, 36, 48), (2, 3, 4)),)
    )


def small_vit_28px() -> Space:
    """A narrow one for 28x28 images in patches of 7x7: 27 blocks a stage."""
    return _space(
        "small_vit_28px", "a transformer on 28x28 images", (1, 28, 28), (64, 7, 10), (_tied((32, 48, 64), (2, 3, 4)),)
    )


def timm_state_dict(name: str = "vit_base_patch16_224", **settings: Any) -> dict[str, Tensor]:
    """Return the weights of a ViT of timm's by the names of the reference's, for images normalised as this project's are.

    settings: of `timm.create_model`, by default its pretrained weights, which it downloads. timm normalises ViT's images otherwise: that is
    put into the weights of the patches. Raises `Unavailable` without timm.
    """
    from donna_hw._core import torchvision_compat

    torchvision_compat.require_torchvision("timm's weights", "timm")
    import timm
    import torch

    from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD

    model = timm.create_model(name, **({"pretrained": True} | settings))
    state = dict(model.state_dict())
    its: Any = model.default_cfg
    mean, deviation, own_mean, own_deviation = (
        torch.tensor(values, dtype=torch.float64) for values in (its["mean"], its["std"], IMAGENET_MEAN, IMAGENET_STD)
    )
    patches, bias = state["patch_embed.proj.weight"].double(), state["patch_embed.proj.bias"].double()
    shift = ((own_mean - mean) / deviation).view(1, -1, 1, 1)
    found = {
        "patches.patches.weights.proj.weight": patches * (own_deviation / deviation).view(1, -1, 1, 1),
        "patches.patches.weights.proj.bias": bias + (patches * shift).sum((1, 2, 3)),
    }
    found = {key: values.float() for key, values in found.items()}
    found |= {f"patches.patches.weights.{key}": state[key] for key in ("cls_token", "pos_embed")}
    names = {
        "norm1": "norm1",
        "norm2": "norm2",
        "attn.qkv": "qkv",
        "attn.proj": "proj",
        "mlp.fc1": "fc1",
        "mlp.fc2": "fc2",
    }
    depth = DEPTHS[-1]
    for number in range(STAGES * depth):
        layer = f"stage{number // depth + 1}.{number % depth + 1}_layer.weights"
        for their, own in names.items():
            found |= {f"{layer}.{own}.{end}": state[f"blocks.{number}.{their}.{end}"] for end in ("weight", "bias")}
    for their, own in {"norm": "norm", "head": "linear"}.items():
        found |= {f"head.head.weights.{own}.{end}": state[f"{their}.{end}"] for end in ("weight", "bias")}
    return found


def _tied(embeddings: tuple[int, ...], heads: tuple[int, ...]) -> Axis:
    settings: dict[Value, dict[str, Value]] = {
        one: {"embedding": one, "heads": other} for one, other in zip(embeddings, heads, strict=True)
    }
    return Axis("embedding", embeddings, settings=settings)


def _vit_b16(name: str, title: str, axes: tuple[Axis, ...]) -> Space:
    return replace(_space(name, title, (3, 224, 224), (768, 16, 1000), axes), reference_weights=timm_state_dict)


def _space(
    name: str, title: str, images: tuple[int, int, int], sizes: tuple[int, int, int], axes: tuple[Axis, ...]
) -> Space:
    """Return a space; sizes: features of a token, pixels of a patch's side, classes."""
    features, patch, classes = sizes
    searched = (Axis("depth", DEPTHS), *axes, Axis("mlp_ratio", (2, 3, 4)))
    cell = partial(Transformer, features)
    return Space(
        name=name,
        title=title,
        input_shape=images,
        before=(("patches", PatchEmbedding(features, patch)),),
        stages=tuple(Stage(f"stage{number}", searched, cell) for number in range(1, STAGES + 1)),
        after=(("head", TransformerHead(classes)),),
    )
