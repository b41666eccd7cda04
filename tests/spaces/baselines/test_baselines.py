"""The baselines: complete, of the published sizes, and measured like any space, alone and compared with a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from fakes import QUICK, FakeBackend, fake_device, fake_machine, tiny_space

from donna_hw._core import torchvision_compat
from donna_hw.devices.backends.ptflops import PtflopsBackend
from donna_hw.devices.device import Device
from donna_hw.errors import ConfigError, TableError
from donna_hw.graph.graph import layers_hash
from donna_hw.profiling.network_profiling import MeasuredGraphs, measure_networks
from donna_hw.profiling.profile_baselines import Baselines, measure_baselines
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.reporting.text.baselines import format_baselines
from donna_hw.spaces import load_space
from donna_hw.spaces.baselines.published import load_published
from donna_hw.spaces.baselines.registry import NETWORKS, baseline_graphs

Main = Callable[..., tuple[int, str, str]]

TABLE_3 = {  # the paper's, appendix A.3, as it is printed
    "EfficientNet-B0": 77.7,
    "SPNASNet-100": 74.084,
    "MNasNet-B1-1.0x": 74.658,
    "MNasNet-A1-1.0x": 75.448,
    "MNasNet-A1-1.4x": 77.2,
    "FBNet-C-100": 78.124,
    "MobileNetV2 (1.0x)": 72.970,
    "MobileNetV2 (1.4x)": 76.516,
    "MobileNetV3 (Large)": 75.766,
    "ProxyLessNas CPU": 75.3,
    "ProxyLessNas GPU": 75.1,
    "ProxyLessNas Mobile": 74.6,
    "ResNet34": 75.1,
    "ResNet50": 79.0,
    "OFA/Scratch": 77.5,
    "OFA-flops-A": 77.3,
    "OFA-flops-B": 77.5,
    "OFA-flops-C": 78.6,
    "OFA-sim-A": 77.1,
    "OFA-sim-B": 78.1,
    "OFA-sim-C": 78.5,
    "DNA-A": 77.1,
    "DNA-B": 77.5,
    "DNA-C": 77.8,
    "DNA-D": 78.4,
}
GRAPHS = baseline_graphs((3, 224, 224))


def test_every_row_of_table_3_is_published_with_its_number() -> None:
    assert {row.title: row.top1_percent for row in load_published().values()} == TABLE_3


def test_what_can_be_built_is_published_and_the_rest_has_a_reason() -> None:
    assert set(NETWORKS) <= set(load_published())
    for name in set(load_published()) - set(NETWORKS):
        assert name.startswith("ofa_")
        assert load_published()[name].note


@pytest.mark.parametrize("name", [name for name in NETWORKS if load_published()[name].macs])
def test_counts_are_the_published_ones_as_far_as_those_are_rounded(name: str) -> None:
    graph, facts = GRAPHS[name], load_published()[name]
    if facts.counts_source.startswith("torchvision"):
        assert (round(graph.macs, -6), graph.params) == (facts.macs, facts.params)
    elif facts.counts_source == "its authors' log":
        assert (round(graph.macs, -5), round(graph.params, -4)) == (facts.macs, facts.params)
    elif (
        name == "mobilenetv2_140"
    ):  # its paper counts 6.9 M parameters; timm's, which have Table 3's accuracy, are 6.1 M
        assert graph.macs == pytest.approx(facts.macs, rel=0.01)
    else:  # DNA's authors count up to 4 % more than the weights' operations, FBNet's head is not quite known
        assert graph.macs == pytest.approx(facts.macs, rel=0.04)
        assert graph.params == pytest.approx(facts.params, rel=0.015)


def test_torchvisions_counts_are_those_that_torchvision_states() -> None:
    assert torchvision_compat.patch_torchvision()
    from torchvision import models

    names = {
        "efficientnet_b0": models.EfficientNet_B0_Weights,
        "mobilenetv2_100": models.MobileNet_V2_Weights,
        "mobilenetv3_large_100": models.MobileNet_V3_Large_Weights,
        "mnasnet_100": models.MNASNet1_0_Weights,
        "resnet34": models.ResNet34_Weights,
        "resnet50": models.ResNet50_Weights,
    }
    assert set(names) == {
        row.network for row in load_published().values() if row.counts_source.startswith("torchvision")
    }
    for name, weights in names.items():
        facts, meta = load_published()[name], weights.DEFAULT.meta
        assert (facts.macs, facts.params) == (round(1e9 * meta["_ops"]), meta["num_params"])


def test_the_space_holds_whole_networks_on_images_of_any_size() -> None:
    space = load_space("baselines@160px")
    (stage,) = space.stages
    assert stage.labels == tuple(NETWORKS)
    assert (space.input_shape, space.output_shapes) == ((3, 160, 160), {"network": (1000,)})
    for m, name in enumerate(NETWORKS):
        graph = space.block_graph(stage, m)
        assert graph.params == GRAPHS[name].params
        assert graph.macs < GRAPHS[name].macs


def test_other_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"space baselines must be a Classifier.*no fixed part"):
        load_space("baselines@10classes")


def test_counted_baselines_are_listed_by_cost_and_not_counted_again(
    main: Main, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, error = main("baselines", "--device", "params", "--image-size", 32)
    assert code == 0, error
    names = [line.split()[0] for line in out.splitlines() if line.split() and line.split()[0] in NETWORKS]
    assert names == sorted(NETWORKS, key=lambda name: GRAPHS[name].params)
    assert "on 3x32x32 images" in out
    assert "the accuracies are for 224x224 images, not for these" in out
    assert "OFA-sim-C" in out
    monkeypatch.setattr(PtflopsBackend, "cost", lambda *_: pytest.fail("counted again"))
    assert main("baselines", "--device", "params", "--image-size", 32)[1] == out


def test_relative_to_a_computed_table_costs_are_direct(tmp_path: Path) -> None:
    space, device = tiny_space(), Device.load("params")
    table = profile_space(space, device, tmp_path)
    files = set(table.path.parent.iterdir())
    beside = measure_baselines(space, device, tmp_path, device.protocol)
    expected = {name: float(graph.params) for name, graph in baseline_graphs(space.input_shape).items()}
    assert beside.measurements == MeasuredGraphs(expected, {}, {})
    assert set(table.path.parent.iterdir()) == files
    assert "on the scale of its table of tiny" in format_baselines(beside)


def test_relative_to_a_measured_table_they_are_on_its_scale_and_in_a_separate_file(tmp_path: Path) -> None:
    space = tiny_space()
    table = profile_space(
        space, fake_device(FakeBackend(fake_machine(space))), tmp_path, QUICK, workers=create_in_process_workers
    )
    machine, networks = fake_machine(space), baseline_graphs(space.input_shape)
    costs = {layers_hash(graph): 1_000_000 * (n + 1) for n, graph in enumerate(networks.values())}
    reference = space.reference
    machine.costs_ns = {**machine.costs_ns, **costs, layers_hash(space.network_graph(reference)): 500_000}
    device = fake_device(FakeBackend(machine))
    measure_networks(space, device, table, [reference], QUICK, workers=create_in_process_workers)
    before = table.path.with_suffix(".networks.csv").read_bytes()
    beside = measure_baselines(space, device, tmp_path, QUICK, workers=create_in_process_workers)
    # every third visit is at half the machine's speed, which the sentinel tells
    assert beside.measurements.values == pytest.approx(
        {name: 1e-3 * (n + 1) for n, name in enumerate(networks)}, rel=1e-6
    )
    assert table.path.with_suffix(".networks.csv").read_bytes() == before
    assert beside.path == table.path.with_suffix(".baselines.csv")
    assert beside.path is not None
    assert set(pd.read_csv(beside.path)["network"]) == set(NETWORKS)
    visits = len(machine.visits)
    assert measure_baselines(space, device, tmp_path, QUICK, workers=create_in_process_workers) == beside
    assert len(machine.visits) == visits, "what is measured is not measured again"
    other = fake_device(FakeBackend(fake_machine(space), runtime="fake 2"))
    with pytest.raises(TableError, match="runtime"):
        measure_baselines(space, other, tmp_path, QUICK, workers=create_in_process_workers)


def test_a_failed_network_is_last_with_its_reason(tmp_path: Path) -> None:
    space, device = tiny_space(), Device.load("params")
    info = profile_space(space, device, tmp_path).info
    two = {name: GRAPHS[name] for name in ("resnet50", "mobilenetv2_100")}
    text = format_baselines(
        Baselines(two, MeasuredGraphs({"mobilenetv2_100": 3e6}, {}, {"resnet50": "it crashes"}), info, None)
    )
    assert text.index("\nmobilenetv2_100") < text.index("\nresnet50")
    assert "resnet50 failed: it crashes" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "abacus"], "unknown device 'abacus'"),
        (["--device", "params", "--relative-to", "small_8px"], "no table of small_8px for this cost; got 'params'"),
        (["--device", "params", "--relative-to", "small_8px", "--image-size", "32"], "--image-size cannot be combined"),
    ],
)
def test_what_cannot_be_measured_is_one_line(main: Main, arguments: list[str], message: str) -> None:
    code, out, error = main("baselines", *arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert message in error


def test_an_unknown_protocol_is_refused_with_the_known_ones(main: Main) -> None:
    code, out, error = main("baselines", "--device", "params", "--protocol", "hasty")
    assert (code, out) == (2, "")
    assert "'--protocol': 'hasty' is not one of 'paper_s20'" in error.splitlines()[-1]


@pytest.mark.long
def test_on_a_real_cpu_they_are_measured_alone_and_relative_to_a_small_space(main: Main, tmp_path: Path) -> None:
    words = ["--device", "onnxruntime_cpu", "--protocol", "quick", "--rounds", "3"]
    code, out, error = main("baselines", *words, "--image-size", 32)
    assert code == 0, error
    assert "95 % interval" in out
    table = tmp_path / "latency_tables/onnxruntime_cpu/baselines@32px/isolated-b1-float32-t1.csv"
    frame = pd.read_csv(table)
    assert set(frame["network"]) == set(NETWORKS)
    assert (frame["median_s"] > 0).all()
    assert main("profile", "small_8px", *words)[0] == 0
    code, out, error = main("baselines", *words, "--relative-to", "small_8px")
    assert code == 0, error
    assert "on 1x8x8 images, on the scale of its table of small_8px" in out
    small = tmp_path / "latency_tables/onnxruntime_cpu/small_8px"
    assert set(pd.read_csv(small / "isolated-b1-float32-t1.baselines.csv")["network"]) == set(NETWORKS)
