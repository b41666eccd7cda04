"""Runs with 8-bit blocks: quantized from another run's, and a run whose own library mixes the types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from tiny_run import RECIPE, Main, trained

from donna_hw import open_run
from donna_hw.errors import ConfigError
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.pipeline import steps
from donna_hw.pipeline.steps.extend import base_run, extended_rows
from donna_hw.pipeline.steps.quantize import quantize_test_networks
from donna_hw.reporting.figures.run_data import MIXED, WHOLE, load_predictor_groups
from donna_hw.spaces import load_space
from donna_hw.spaces.mixed_precision import float_block_number, float_counterparts, int8_counterparts
from donna_hw.training.checkpoints import read_weights
from donna_hw.training.libraries import ArchitectureLibrary


@pytest.fixture
def recipes(tmp_path: Path) -> tuple[Path, Path]:
    """Return two recipes, the second of which extends the first by 8-bit blocks."""
    base, new = tmp_path / "base.toml", tmp_path / "int8.toml"
    base.write_text(
        RECIPE.replace("networks = 5\n", "networks = 5\ntest_networks = 4\n").replace(
            "epochs = 2", "repeats = 2\nepochs = 2"
        )
    )
    new.write_text('title = "INT8"\nspace = "small_8px@precision"\n[extends]\nrecipe = "base.toml"\n')
    return base, new


def right_percent(folder: Path, space_name: str, labels: dict[str, str], weights: Path) -> float:
    """Return the top-1 of a saved 8-bit network on the digits' test images, by ONNX Runtime."""
    space = load_space(space_name)
    graph = space.network_graph(space.architecture_from_labels(labels))
    pixels, truth = (np.load(folder / "distill_batches" / "images" / f"test{end}.npy") for end in ("", "-labels"))
    state = {name: values.numpy() for name, values in read_weights(weights).items()}
    model = to_onnx(graph, len(truth), state)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    logits = session.run(None, {"input": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})[0]
    return 100 * float((logits.argmax(1) == truth).mean())


def test_blocks_and_networks_are_quantized_and_the_predictor_stays(
    recipes: tuple[Path, Path], tmp_path: Path, main: Main
) -> None:
    _, new = recipes
    folder, old = tmp_path / "runs" / "int8", tmp_path / "runs" / "base"
    code, out, error = main("study", "int8", new, "--out", folder, "--summary", tmp_path / "page.md")
    assert code == 0, error
    assert out == (tmp_path / "page.md").read_text() == (folder / "int8.md").read_text()
    assert "| spatial | equalized |" in out
    before, after = trained(old), trained(folder)
    blocks = {name for name in before if name.startswith(("block_library/weights", "reference"))}
    assert all(after[name] == before[name] for name in blocks)
    assert (folder / "predictor.toml").read_bytes() == (old / "predictor.toml").read_bytes()
    quality = [pd.read_csv(run / "block_library" / "quality.csv") for run in (old, folder)]
    pd.testing.assert_frame_equal(quality[1][: len(quality[0])], quality[0])
    added = quality[1][len(quality[0]) :]
    assert added["block"].str.endswith("-int8").all()
    assert len(added) == len(quality[0])  # equal blocks share one in either type
    assert (added["nsr"].median() / quality[0]["nsr"].median()) == pytest.approx(1, abs=0.2)
    with open_run(str(new), folder) as run:
        base, rows = base_run(run), extended_rows(run)
        assert [tuple(row) for row in rows] == [
            run.space.row(network) for network in run.architectures.mean_top1("test")
        ]
        assert len(rows) == 4
        assert not (rows == float_counterparts(run.space, rows)).all(axis=1).any()
        tested = [list(base.space.labels(n).values()) for n in base.architectures.mean_top1("test")]
        float_rows = float_counterparts(run.space, rows)
        assert [list(run.space.labels(run.space.architecture(row)).values()) for row in float_rows] == tested
        assert not run.architectures.networks("float_counterpart")  # all were finetuned there
        for library, name in (
            (run.architectures, "small_8px@precision"),
            (quantize_test_networks(run), "small_8px@int8"),
        ):
            found = library.networks("test")
            assert len(found) == 8  # by two seeds
            for network in found[:3]:
                kept = ArchitectureLibrary(folder / "architecture_library", library.space)
                weights = kept.weights_path(network.architecture, network.seed)
                labels = library.space.labels(network.architecture)
                assert right_percent(folder, name, labels, weights) == pytest.approx(network.top1_percent, abs=0.6)
        groups = load_predictor_groups(run)
        assert [one.name for one in groups[1:]] == ["test networks, no new blocks", WHOLE, MIXED]
        for one, library in zip(groups[2:], (quantize_test_networks(run), run.architectures), strict=True):
            np.testing.assert_allclose(one.measured_percent, [top1 for top1, _ in library.mean_top1("test").values()])
    front = tmp_path / "front.csv"
    for number, says in ((0, "finetuned whole"), (1, "so its networks exist only as quantized finetuned networks")):
        blocks = [label.replace("k3", "k5") if number else label for label in labels.values()]
        front.write_text(",".join(labels) + "\n" + ",".join(blocks) + "\n")
        code, _, error = main(
            "export",
            front,
            "--space",
            "small_8px@int8",
            "--weights-from",
            folder,
            "--output-dir",
            tmp_path / f"net{number}",
        )
        said = "".join(path.read_text() for path in (tmp_path / f"net{number}").glob("*.toml"))
        assert (code, says in said + error) == (2 * number, True)
    again, _, _ = main("study", "int8", new, "--out", folder)
    assert again == 0
    assert trained(folder) == after


@pytest.mark.long
def test_ranges_may_be_observed_and_grids_be_of_channels(
    recipes: tuple[Path, Path], tmp_path: Path, main: Main
) -> None:
    base, new = recipes
    assert main("finetune", base, "--out", tmp_path / "runs" / "base")[0] == 0
    assert main("fit", base, "--out", tmp_path / "runs" / "base")[0] == 0
    states = {}
    for name, keys in {
        "plain": "",
        "observed": 'ranges = "images"\nimages = 64\n',
        "channels": "per_channel = true\n",
    }.items():
        recipe = tmp_path / f"{name}.toml"
        recipe.write_text(new.read_text() + f"[quantize]\n{keys}")
        with open_run(str(recipe), tmp_path / "runs" / name) as run:
            library, stage = steps.distill_blocks(run), run.space.stages[0]
            m = next(m for m in range(stage.size) if float_block_number(stage, m) != m)
            states[name] = read_weights(library.weights_path(stage, m))
    key = next(key for key in states["plain"] if key.endswith("weight_scales"))
    assert len(states["plain"][key].unique()) == 1 < len(states["channels"][key].unique())
    key = key.replace("weight_scales", "scales")
    assert not states["plain"][key].equal(states["observed"][key])


@pytest.mark.long
def test_a_library_may_hold_both_types(tmp_path: Path, main: Main) -> None:
    """A recipe of such a space that extends nothing: its networks are trained in float32, and quantized; then exported."""
    recipe, folder = tmp_path / "both.toml", tmp_path / "run"
    recipe.write_text(RECIPE.replace('"small_8px"', '"small_8px@precision"'))
    with open_run(str(recipe), folder) as run:
        steps.distill_blocks(run)
        steps.finetune_networks(run)
        library = run.architectures.mean_top1("library")
        assert len(library) == 5
        rows = np.array([run.space.row(network) for network in library])
        float_rows = {tuple(row) for row in float_counterparts(run.space, rows)}
        held = {run.space.row(network) for network in run.architectures.mean_top1("float_counterpart", "library")}
        assert float_rows <= held
        assert steps.fit_accuracy_predictor(run).kind == "joint"
        network = next(n for n in library if run.space.row(n) not in float_rows)
        labels = run.space.labels(network)
    front = tmp_path / "front.csv"
    front.write_text(",".join(labels) + "\n" + ",".join(labels.values()) + "\n")
    code, _, error = main(
        "export", front, "--space", "small_8px@precision", "--weights-from", folder, "--output-dir", tmp_path / "net"
    )
    assert code == 0, error
    (model,) = (tmp_path / "net").glob("*.onnx")
    (said,) = (tmp_path / "net").glob("*.toml")
    assert "finetuned whole" in said.read_text()
    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    assert session.run(None, {"input": np.zeros((1, 1, 8, 8), np.float32)})[0].shape == (1, 10)
    assert b"QuantizeLinear" in model.read_bytes()


@pytest.mark.long
def test_what_cannot_be_quantized_is_said(recipes: tuple[Path, Path], tmp_path: Path, main: Main) -> None:
    base, new = recipes
    plain = tmp_path / "plain.toml"
    plain.write_text(new.read_text().replace("small_8px@precision", "small_8px"))
    code, _, error = main("study", "int8", plain, "--out", tmp_path / "runs" / "plain")
    assert code == 2
    assert "small_8px@precision" in error
    many = tmp_path / "many.toml"
    many.write_text(new.read_text() + "test_networks = 5\n")
    code, _, error = main("study", "int8", many, "--out", tmp_path / "runs" / "many")
    assert code == 2
    assert "at most the test networks of the extended run" in error
    whole = tmp_path / "whole.toml"
    whole.write_text(base.read_text().replace('"small_8px"', '"small_8px@int8"'))
    with (
        open_run(str(whole), tmp_path / "whole") as run,
        pytest.raises(ConfigError, match="@precision, which has float32 and 8-bit blocks"),
    ):
        steps.distill_blocks(run)
    assert int8_counterparts(load_space("small_8px@precision"), np.zeros((1, 3), np.int64)).tolist() == [[1, 1, 1]]
