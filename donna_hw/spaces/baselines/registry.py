"""The baselines as a space of one stage, whose blocks are whole networks, so that they are measured like any other space."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from donna_hw.graph.builder import lower
from donna_hw.graph.graph import Graph, Shape
from donna_hw.spaces.baselines import mobile, resnet
from donna_hw.spaces.cells import Chain
from donna_hw.spaces.space import Space
from donna_hw.spaces.stage import Axis, Stage

# named as in timm where it has the network; append new ones, so that old tables stay valid
NETWORKS: Mapping[str, Callable[[], Chain]] = {
    "efficientnet_b0": mobile.efficientnet_b0,
    "mobilenetv2_100": partial(mobile.mobilenetv2, 1.0),
    "mobilenetv2_140": partial(mobile.mobilenetv2, 1.4),
    "mobilenetv3_large_100": mobile.mobilenetv3_large,
    "semnasnet_100": partial(mobile.mnasnet_a1, 1.0),
    "semnasnet_140": partial(mobile.mnasnet_a1, 1.4),
    "mnasnet_100": mobile.mnasnet_b1,
    "spnasnet_100": mobile.spnasnet,
    "fbnetc_100": mobile.fbnet_c,
    "proxylessnas_cpu": mobile.proxylessnas_cpu,
    "proxylessnas_gpu": mobile.proxylessnas_gpu,
    "proxylessnas_mobile": mobile.proxylessnas_mobile,
    "resnet34": resnet.resnet34,
    "resnet50": resnet.resnet50,
    "dna_a": mobile.dna_a,
    "dna_b": mobile.dna_b,
    "dna_c": mobile.dna_c,
    "dna_d": mobile.dna_d,
}


def build_baseline(network: str) -> Chain:
    """Return a baseline by name."""
    return NETWORKS[network]()


def baseline_graphs(input_shape: Shape) -> dict[str, Graph]:
    """Return the graph of every baseline for images of shape (channels, height, width)."""
    return {name: lower(network(), input_shape) for name, network in NETWORKS.items()}


def baselines() -> Space:
    """One stage of whole networks for 224x224 images and 1000 classes: those of the paper's Table 3 with a public definition."""
    return Space(
        name="baselines",
        title="the networks of the paper's Table 3, each a block of a single stage",
        input_shape=(3, 224, 224),
        before=(),
        stages=(Stage("network", (Axis("network", tuple(NETWORKS), reference="mobilenetv2_100"),), build_baseline),),
        after=(),
    )
