"""Vision transformers (paper, appendix C): ViT-B/16 in four stages of three layers, and small ones for small images.

The paper searches depth {1, 2, 3}, embedding {384, 576, 768}, heads {4, 8, 12} and mlp ratio {2, 3, 4}: 81 blocks a stage. Its counts (0.5
million networks, 135 epochs) correspond to 27, three axes of three values: `vit_b16` ties the heads to the embedding, `vit_b16_81` does
not.
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
    """ViT-B/16 on 224x224 images, with heads tied to the embedding: 27 blocks a stage."""
    embedding = _embedding_axis((384, 576, 768), (4, 8, 12))
    return _vit_b16("vit_b16", "ViT-B/16, heads tied to the embedding", (embedding,))


def vit_b16_81() -> Space:
    """ViT-B/16 on 224x224 images, with heads as a separate axis: 81 blocks a stage."""
    return _vit_b16("vit_b16_81", "ViT-B/16", (Axis("embedding", (384, 576, 768)), Axis("heads", (4, 8, 12))))


def small_vit_8px() -> Space:
    """A narrow transformer for 8x8 images in patches of 2x2: 27 blocks a stage."""
    return _space(
        "small_vit_8px",
        "a transformer on 8x8 images",
        (1, 8, 8),
        (48, 2, 10),
        (_embedding_axis((24, 36, 48), (2, 3, 4)),),
    )


def small_vit_28px() -> Space:
    """A narrow transformer for 28x28 images in patches of 7x7: 27 blocks a stage."""
    return _space(
        "small_vit_28px",
        "a transformer on 28x28 images",
        (1, 28, 28),
        (64, 7, 10),
        (_embedding_axis((32, 48, 64), (2, 3, 4)),),
    )


def timm_state_dict(name: str = "vit_base_patch16_224", **settings: Any) -> dict[str, Tensor]:
    """Return the weights of a ViT of timm under the reference's names, for images normalized as in this project.

    timm normalizes ViT's images differently; the weights of the patches compensate for that.

    Args:
        name: The model's name in timm.
        settings: Of `timm.create_model`; by default `pretrained=True`, which downloads the weights.

    Returns:
        The state dict of the reference network.

    Raises:
        UnavailableError: If timm is not installed.
    """
    from donna_hw._core import torchvision_compat

    torchvision_compat.require_torchvision("timm's weights", "timm")
    import timm
    import torch

    from donna_hw._core.imagenet import IMAGENET_MEAN, IMAGENET_STD

    model = timm.create_model(name, **({"pretrained": True} | settings))
    state = dict(model.state_dict())
    config: Any = model.default_cfg
    mean, std, imagenet_mean, imagenet_std = (
        torch.tensor(values, dtype=torch.float64)
        for values in (config["mean"], config["std"], IMAGENET_MEAN, IMAGENET_STD)
    )
    patches, bias = state["patch_embed.proj.weight"].double(), state["patch_embed.proj.bias"].double()
    shift = ((imagenet_mean - mean) / std).view(1, -1, 1, 1)
    weights = {
        "patches.patches.weights.proj.weight": patches * (imagenet_std / std).view(1, -1, 1, 1),
        "patches.patches.weights.proj.bias": bias + (patches * shift).sum((1, 2, 3)),
    }
    weights = {key: values.float() for key, values in weights.items()}
    weights |= {f"patches.patches.weights.{key}": state[key] for key in ("cls_token", "pos_embed")}
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
        for source, target in names.items():
            weights |= {
                f"{layer}.{target}.{part}": state[f"blocks.{number}.{source}.{part}"] for part in ("weight", "bias")
            }
    for source, target in {"norm": "norm", "head": "linear"}.items():
        weights |= {f"head.head.weights.{target}.{part}": state[f"{source}.{part}"] for part in ("weight", "bias")}
    return weights


def _embedding_axis(embeddings: tuple[int, ...], heads: tuple[int, ...]) -> Axis:
    """Return an axis that sets the embedding, and the heads with it."""
    settings: dict[Value, dict[str, Value]] = {
        embedding: {"embedding": embedding, "heads": count} for embedding, count in zip(embeddings, heads, strict=True)
    }
    return Axis("embedding", embeddings, settings=settings)


def _vit_b16(name: str, title: str, axes: tuple[Axis, ...]) -> Space:
    return replace(_space(name, title, (3, 224, 224), (768, 16, 1000), axes), reference_weights=timm_state_dict)


def _space(
    name: str, title: str, images: tuple[int, int, int], sizes: tuple[int, int, int], axes: tuple[Axis, ...]
) -> Space:
    """Return a space; `sizes` are the features of a token, the pixels of a patch's side and the classes."""
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
