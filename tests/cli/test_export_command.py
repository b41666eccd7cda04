"""`donna-hw export` with the front of a finished run: trained weights, and what is said where there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd
import torch
from tiny_run import Main, TinyRun

from donna_hw.pipeline.export import load_network, read_front_networks
from donna_hw.spaces import load_space
from donna_hw.training.checkpoints import read_weights
from donna_hw.training.libraries import ArchitectureLibrary

SPACE = load_space("small_8px")


def export(main: Main, run: TinyRun, to: Path, *more: object) -> str:
    code, text, error = main("export", run.folder / "front.csv", "--space", "small_8px", "--output-dir", to, *more)
    assert code == 0, error
    return text


def test_every_network_of_a_front_runs_in_onnx_runtime_as_in_torch_with_the_runs_weights(
    tiny_run: TinyRun, main: Main, tmp_path: Path
) -> None:
    text = export(main, tiny_run, tmp_path / "nets", "--weights-from", tiny_run.folder)
    front = read_front_networks(SPACE, tiny_run.folder / "front.csv")
    files = sorted((tmp_path / "nets").glob("*.toml"))
    assert len(files) == len(front) == len(pd.read_csv(tiny_run.folder / "front.csv"))
    assert "random" not in text
    library = ArchitectureLibrary(tiny_run.folder / "architecture_library", SPACE)
    known = {network.architecture for network in library.networks()}
    origins = set()
    image = torch.randn(1, *SPACE.input_shape, generator=torch.Generator().manual_seed(1))
    for path, (architecture, predicted) in zip(files, front, strict=True):
        network = load_network(path)
        origins.add(network.file.weights_from)
        assert network.architecture == architecture
        assert network.file.predicted == predicted
        assert (network.file.weights_from == "finetuned whole") == (architecture in known)
        session = onnxruntime.InferenceSession(path.with_suffix(".onnx").read_bytes())
        with torch.no_grad():
            expected = network.module()(image).numpy()
        np.testing.assert_allclose(session.run(None, {"input": image.numpy()})[0], expected, rtol=1e-5, atol=1e-5)
        if architecture in known:
            finetuned, exported = (
                read_weights(p) for p in (library.weights_path(architecture, 3), path.with_suffix(".safetensors"))
            )
            assert all(torch.equal(finetuned[key], exported[key]) for key in finetuned)
    assert "finetuned whole" in origins  # the tiny run verifies two networks of its front


def test_one_network_with_random_weights_is_said_to_be_so(tiny_run: TinyRun, main: Main, tmp_path: Path) -> None:
    text = export(main, tiny_run, tmp_path / "nets", "--network", "1", "--format", "onnx", "--format", "toml")
    assert "the weights are random" in text
    assert len(list((tmp_path / "nets").iterdir())) == 2


def test_a_number_or_a_format_that_is_none_is_one_line(tiny_run: TinyRun, main: Main, tmp_path: Path) -> None:
    words = ["export", tiny_run.folder / "front.csv", "--space", "small_8px", "--output-dir", tmp_path / "nets"]
    for more, says in (
        (["--network", "0"], "a number from 1 to"),
        (["--network", "first"], "got 'first'"),
        (["--format", "tflite"], "'tflite' is not one of 'onnx', 'torch', 'toml'"),
        (["--format", ""], "'' is not one of"),
        (["--weights-from", tmp_path / "nowhere"], "nowhere"),
    ):
        code, _, error = main(*words, *more)
        assert code == 2
        assert says in error
        assert error.splitlines()[-1].startswith(("error: ", "Error: "))
        assert "Traceback" not in error
    assert not (tmp_path / "nets").exists()
