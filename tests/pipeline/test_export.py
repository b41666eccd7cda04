"""Exported networks: ONNX Runtime against torch, files that rebuild the network, and files that must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tomli_w
import torch

from donna_hw._core.toml_files import read_toml
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, UnknownNameError
from donna_hw.graph.torch_module import GraphModule
from donna_hw.pipeline.export import export_network, load_network, read_front_networks
from donna_hw.spaces import Architecture, Axis, load_space

SPACE = load_space("small_8px")
PREDICTED = {"predicted_top1_percent": 91.5, "latency@v100_s": 1.25e-4}


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, *SPACE.input_shape, generator=torch.Generator().manual_seed(0))


def by_torch(module: GraphModule) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(module(images()).numpy())


def by_onnxruntime(path: Path) -> np.ndarray:
    onnx.checker.check_model(onnx.load(path))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input": image[None].numpy()})[0] for image in images()])


@pytest.mark.parametrize("seed", range(3))
def test_what_is_exported_is_one_network_in_torch_in_onnx_runtime_and_rebuilt(seed: int, tmp_path: Path) -> None:
    wanted = SPACE.architecture(SPACE.random_rows(1, seed)[0])
    paths = export_network(SPACE, wanted, tmp_path / "net", predicted=PREDICTED)
    assert [path.name for path in paths] == ["net.safetensors", "net.onnx", "net.toml"]
    network = load_network(tmp_path / "net.toml")
    assert network.architecture == wanted
    assert network.graph == SPACE.network_graph(wanted)
    assert network.file.predicted == PREDICTED
    assert network.file.weights_from == "random, seed 0: nothing was trained"
    module = network.module()
    assert not module.training
    expected = by_torch(module)
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(by_onnxruntime(tmp_path / "net.onnx"), expected, rtol=1e-5, atol=1e-5)
    again = export_network(SPACE, wanted, tmp_path / "again", ["onnx"])
    assert again[0].read_bytes() == (tmp_path / "net.onnx").read_bytes()


def test_a_varied_space_is_rebuilt_as_it_was_varied(tmp_path: Path) -> None:
    space = load_space("small_8px@12px@3classes")
    export_network(space, space.reference, tmp_path / "net", ["toml", "torch"])
    network = load_network(tmp_path / "net.toml")
    assert network.graph.input_shape == (1, 12, 12)
    assert network.graph.output_shape == (3,)
    assert network.space == space
    assert network.module()(torch.zeros(2, 1, 12, 12)).shape == (2, 3)


def test_a_network_at_one_resolution_is_rebuilt_at_it(tmp_path: Path) -> None:
    axis = Axis("resolution", (8, 12))
    space = replace(SPACE, global_axes=(axis,))
    wanted = Architecture(SPACE.reference.blocks, (12,))
    path = tmp_path / "front.csv"
    labels = space.labels(wanted)
    path.write_text(",".join([*labels, "params_parameter"]) + "\n" + ",".join([*labels.values(), "7.5"]) + "\n")
    assert read_front_networks(space, path) == [(wanted, {"params_parameter": 7.5})]
    paths = export_network(space, wanted, tmp_path / "net")
    assert read_toml(paths[-1])["settings"] == {"resolution": "r12"}
    assert list(onnx.load(paths[1]).graph.input[0].type.tensor_type.shape.dim)[2].dim_value == 12


def test_only_what_is_asked_for_is_written(tmp_path: Path) -> None:
    export_network(SPACE, SPACE.reference, tmp_path / "net", ["toml"])
    assert [path.name for path in tmp_path.iterdir()] == ["net.toml"]
    network = load_network(tmp_path / "net.toml")
    with pytest.raises(FileFormatError, match="names no weights"):
        network.module()
    with pytest.raises(UnknownNameError, match="unknown format 'tflite'; expected onnx, torch or toml"):
        export_network(SPACE, SPACE.reference, tmp_path / "net", ["tflite"])
    with pytest.raises(ConfigError, match="no format is named to export; expected onnx, torch or toml"):
        export_network(SPACE, SPACE.reference, tmp_path / "net", [])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"layers_hash": "0" * 16}, "export again"),
        ({"weights": "../../etc/net.safetensors"}, "weights must be a file of the same folder"),
        ({"weights": "/net.safetensors"}, "weights must be a file of the same folder"),
        ({"space": "small_9px"}, "unknown .*'small_9px'"),
        ({"blocks": dict.fromkeys(("stage1", "stage2", "stage3"), "k3")}, "unknown .*'k3'"),
        ({"blocks": {}}, "no label for the stage or global axis"),
        ({"settings": {"resolution": "r224"}}, "unknown global axis of small_8px 'resolution'"),
        ({"blocks": {"stage9": "k3"}}, "unknown stage of small_8px 'stage9'"),
        ({"mood": "good"}, "unknown key 'mood'"),
        ({"predicted": {"x": "much"}}, "predicted"),
    ],
)
def test_a_file_that_was_changed_does_not_rebuild_another_network(
    tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    export_network(SPACE, SPACE.reference, tmp_path / "net")
    path = tmp_path / "net.toml"
    path.write_text(tomli_w.dumps(read_toml(path) | changes))
    with pytest.raises(DonnaError, match=says) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_torn_or_missing_weights_are_said(tmp_path: Path) -> None:
    export_network(SPACE, SPACE.reference, tmp_path / "net")
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        load_network(tmp_path / "net.toml").module()
    weights.unlink()
    with pytest.raises(FileFormatError, match="not a readable safetensors file"):
        load_network(tmp_path / "net.toml").module()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no CSV of a front"),
        ("stage1,stage2\na,b\n", "has no column stage3"),
        ("stage1,stage2,stage3\na,b,c\n", "unknown .*label"),
        ('stage1,stage2,stage3\n"a,b\n', "is no CSV of a front"),
    ],
)
def test_a_file_that_is_no_front_of_the_space_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "front.csv"
    path.write_text(text)
    with pytest.raises(DonnaError, match=says) as caught:
        read_front_networks(SPACE, path)
    assert "\n" not in str(caught.value)
