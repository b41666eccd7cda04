"""A network as a backbone: its maps are the network's own, told as timm tells them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from requirements import needs
from torch import Tensor

from donna_hw._core import torchvision_compat
from donna_hw.errors import ConfigError, FileFormatError
from donna_hw.experiments.detection.features import feature_maps, features_only
from donna_hw.graph.torch_module import to_torch
from donna_hw.spaces import load_space
from donna_hw.training.checkpoints import save_weights


def test_maps_are_what_the_whole_network_passes_on(tmp_path: Path) -> None:
    space = load_space("small_28px")
    architecture = space.architecture(space.random_rows(1, 5)[0])
    network = to_torch(space.network_graph(architecture), seed=1).eval()
    save_weights(network, tmp_path / "w.safetensors")
    backbone = features_only(space, architecture, weights=tmp_path / "w.safetensors").eval()
    passed: dict[str, Tensor] = {}
    for part in ("stem", "stage2", "stage4"):
        last = [layer.name for layer in network.graph.layers if layer.name.startswith(f"{part}.")][-1]
        network.get_submodule(last).register_forward_hook(lambda _m, _i, out, part=part: passed.update({part: out}))
    images = torch.rand(2, 1, 28, 28)
    with torch.no_grad():
        network(images)
        maps = backbone(images)
    assert backbone.feature_info.module_name() == ["stem", "stage2", "stage4"] == list(passed)
    assert backbone.feature_info.reduction() == [2, 4, 8]
    for found, expected, channels in zip(maps, passed.values(), backbone.feature_info.channels(), strict=True):
        assert found.shape[1] == channels
        torch.testing.assert_close(found, expected)


def test_a_backbone_has_no_tail_and_takes_images_of_any_size() -> None:
    space = load_space("small_28px")
    backbone = features_only(space, space.reference, out_indices=(1, -1))
    assert backbone.feature_info.out_indices == (1, 2)
    assert not any("tail" in name or "classifier" in name for name in backbone.names)
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 1, 64, 33))
    assert [tuple(one.shape[2:]) for one in maps] == [(16, 9), (8, 5)]  # a half of an odd side is rounded up


def test_channels_and_reductions_are_timms() -> None:
    needs(torchvision_compat.patch_torchvision(), "timm and torchvision")
    timm = pytest.importorskip("timm")
    its = timm.create_model("efficientnet_b0", features_only=True, pretrained=False).feature_info
    own = features_only(load_space("efficientnet_b0"), load_space("efficientnet_b0").reference).feature_info
    assert own.channels() == its.channels()
    assert own.reduction() == its.reduction()
    assert own.out_indices == tuple(its.out_indices)
    assert own.get_dicts()[0].keys() <= its.get_dicts()[0].keys()


def test_random_weights_are_ruled_by_the_seed() -> None:
    space = load_space("small_8px")
    one, same, other = (features_only(space, space.reference, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_what_gives_no_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="feature maps"):
        feature_maps(load_space("small_vit_8px"))
    space = load_space("small_8px")
    with pytest.raises(ConfigError, match=r"0\.\.2"):
        features_only(space, space.reference, out_indices=(3,))
    with pytest.raises(ConfigError, match=r"at least one map, each in .*; got 'none'"):
        features_only(space, space.reference, out_indices=())
    int8 = load_space("small_8px@int8")
    with pytest.raises(ConfigError, match="float32"):
        features_only(int8, int8.reference)
    other = space.architecture(space.random_rows(1, 0)[0])
    save_weights(to_torch(space.network_graph(other)), tmp_path / "other.safetensors")
    with pytest.raises(FileFormatError, match="weights of this network"):
        features_only(space, space.reference, weights=tmp_path / "other.safetensors")
