"""The parts of a vision transformer as torch modules on tokens [batch, tokens, features], and the blocks made of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from donna_hw.errors import ConfigError
from donna_hw.graph.builder import Block, GraphBuilder
from donna_hw.graph.torch_layer import TorchLayer

EPS = 1e-6  # of the layer norms of ViT, which is not torch's default


class Patches(nn.Module):
    """Patches of an image as tokens, a class token before them, and what tells each one's place: [batch, 1 + patches, features]."""

    def __init__(self, channels: int, pixels: int, patch: int, features: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, features, patch, patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, features))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + (pixels // patch) ** 2, features))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Map images [batch, colours, pixels, pixels] to tokens."""
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], 1) + self.pos_embed


class TransformerLayer(nn.Module):
    """Attention, then two fully connected layers with GELU between, each after a layer norm and added to what came in.

    inner: features of queries, keys and values, of all `heads` together; hidden: of what is between the two layers.
    """

    def __init__(self, features: int, inner: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(features, EPS), nn.LayerNorm(features, EPS)
        self.qkv, self.proj = nn.Linear(features, 3 * inner), nn.Linear(inner, features)
        self.fc1, self.fc2 = nn.Linear(features, hidden), nn.Linear(hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to tokens of the same shape."""
        batch, count, _ = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        seen = f.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, count, -1)
        x = x + self.proj(seen)
        output: Tensor = x + self.fc2(f.gelu(self.fc1(self.norm2(x))))
        return output


class ClassTokenHead(nn.Module):
    """Layer norm, then a fully connected layer on the class token: [batch, classes]."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(features, EPS), nn.Linear(features, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens to logits."""
        logits: Tensor = self.linear(self.norm(x[:, 0]))
        return logits


@dataclass(frozen=True)
class PatchEmbedding:
    """The stem of a vision transformer: square patches of `patch` pixels a side, a class token and learned positions."""

    features: int
    patch: int

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the module; raises `ConfigError` for images that are not square, or whose side the patch does not divide."""
        channels, height, width = builder.shape(x)
        if height != width or height % self.patch:
            raise ConfigError(
                f"images must be square with a side that is a multiple of the patch ({self.patch} pixels)",
                got=f"{height}x{width}",
            )
        settings = {"channels": channels, "pixels": height, "patch": self.patch, "features": self.features}
        return TorchLayer.of(Patches, "patches", **settings).add_layers(builder, x)


@dataclass(frozen=True)
class Transformer:
    """`depth` transformer layers on tokens of `features`, whose number they do not change (paper, appendix C).

    That the tokens between layers have the reference's features is our reading of "internally in the DONNA-block".

    Args:
        features: Features of a token.
        depth: Number of layers.
        embedding: Features inside the attention of a layer.
        heads: Heads of the attention; they must divide the embedding.
        mlp_ratio: Features of a layer's hidden layer, as a multiple of the embedding.

    Raises:
        ConfigError: If the heads do not divide the embedding.
    """

    features: int
    depth: int
    embedding: int
    heads: int
    mlp_ratio: float

    def __post_init__(self) -> None:
        if self.embedding % self.heads:
            raise ConfigError(f"heads must divide the embedding, {self.embedding}", got=self.heads)

    def sections(self) -> tuple[Block, ...]:
        """Return the layers, each as a block."""
        return (Transformer(self.features, 1, self.embedding, self.heads, self.mlp_ratio),) * self.depth

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the layers in order."""
        hidden = round(self.mlp_ratio * self.embedding)
        settings = {"features": self.features, "inner": self.embedding, "heads": self.heads, "hidden": hidden}
        for number in range(1, self.depth + 1):
            x = TorchLayer.of(TransformerLayer, f"{number}_layer", **settings).add_layers(builder, x)
        return x


@dataclass(frozen=True)
class TransformerHead:
    """The logits of the class token, after the last transformer layer."""

    classes: int

    def add_layers(self, builder: GraphBuilder, x: str) -> str:
        """Add the module."""
        return TorchLayer.of(ClassTokenHead, "head", features=builder.shape(x)[-1], classes=self.classes).add_layers(
            builder, x
        )
