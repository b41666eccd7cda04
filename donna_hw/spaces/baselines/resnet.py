"""ResNet-34 and ResNet-50 (He et al., 2016), as built by timm and torchvision: ResNet-50 has the stride in the 3x3 convolution."""

from __future__ import annotations

from donna_hw.spaces.cells import Chain, Classifier, ConvNormAct, MaxPool, Residual


def resnet34() -> Chain:
    """3, 4, 6 and 3 blocks of two 3x3 convolutions."""
    return _resnet(Residual(64, 1, 0, 3), Residual(128, 2, 0, 4), Residual(256, 2, 0, 6), Residual(512, 2, 0, 3))


def resnet50() -> Chain:
    """3, 4, 6 and 3 blocks of 1x1, 3x3 and 1x1 convolutions, whose output has four times the hidden channels."""
    return _resnet(
        Residual(256, 1, 64, 3), Residual(512, 2, 128, 4), Residual(1024, 2, 256, 6), Residual(2048, 2, 512, 3)
    )


def _resnet(*stages: Residual) -> Chain:
    named = tuple((f"stage{number}", stage) for number, stage in enumerate(stages, start=1))
    stem = ("stem", ConvNormAct(64, kernel=7, stride=2))
    return Chain((stem, ("max_pool", MaxPool()), *named, ("classifier", Classifier(1000))))
