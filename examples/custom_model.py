"""A search space around a custom network: a plain one written here, and a ResNet of timm's.

On the command line it is a file and a function: `donna-hw profile examples/custom_model.py:plain --device onnxruntime_cpu`. A recipe
names it as its `space`; with `[reference] method = "pretrained"` the model's own weights are the teacher.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from donna_hw import Space, space_from_model, suggest_boundaries
from donna_hw._core import torchvision_compat
from donna_hw.spaces.from_model.candidates import default_blocks


class Plain(nn.Module):
    """A user's model: three pairs of plain convolutions on 8x8 gray images, each with a sum around its second one."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        widths = (1, 12, 16, 24)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 1 + (a > 1), 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(widths)
        )
        self.residual = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for width in widths[1:]
        )
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map [batch, 1, 8, 8] to [batch, classes]."""
        for down, residual in zip(self.down, self.residual, strict=True):
            x = down(x)
            x = x + residual(x)
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def plain() -> Space:
    """Two stages of the plain network, between its three sums: 33 blocks each, 1,089 networks."""
    torch.manual_seed(0)
    return space_from_model(Plain(), torch.zeros(1, 1, 8, 8), ["add", "add_1", "add_2"], name="plain")


def resnet18() -> Space:
    """The four stages of timm's ResNet-18 on 224x224 images, with residual blocks of half the width among the candidates."""
    torchvision_compat.require_torchvision("the model", "timm")
    import timm  # noqa: PLC0415  only here

    torch.manual_seed(0)
    model, image = timm.create_model("resnet18", pretrained=False), torch.zeros(1, 3, 224, 224)
    blocks = partial(default_blocks, expands=(1, 2), styles=("relu",), widths=(0.5, 1.0))
    return space_from_model(
        model, image, ["maxpool", "layer1", "layer2", "layer3", "layer4"], blocks=blocks, name="resnet18"
    )


def small_resnet() -> Space:
    """A narrow ResNet of timm's on 28x28 gray images: three stages of 17 blocks."""
    torchvision_compat.require_torchvision("the model", "timm")
    from timm.models.resnet import BasicBlock, ResNet  # noqa: PLC0415  only here

    torch.manual_seed(0)
    model = ResNet(BasicBlock, (1, 1, 1, 1), num_classes=10, in_chans=1, channels=(16, 24, 32, 48), stem_width=12)
    blocks = partial(
        default_blocks, kernels=(3,), depths=(1, 2), styles=("relu",), widths=(0.5, 1.0), expands=(1, 2, 4)
    )
    image = torch.zeros(1, 1, 28, 28)
    return space_from_model(model, image, ["maxpool", "layer1", "layer2", "layer3"], blocks=blocks, name="small_resnet")


if __name__ == "__main__":
    print("suggested boundaries:", ", ".join(suggest_boundaries(Plain(), torch.zeros(1, 1, 8, 8))))
    space = plain()
    for stage in space.stages:
        original = space.block_graph(stage, stage.reference)
        print(f"{stage.name}: {stage.size} blocks, the model's own {original.macs} MACs, {original.params} parameters")
