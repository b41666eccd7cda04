"""The native runner itself, on this machine and, emulated, on aarch64: what it computes, what it tells, and what it refuses."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from native_program import LITERT_LIBRARY, PATIENCE_S, Native, onnx_library
from onnx import TensorProto, helper
from requirements import needs
from tflite_runs import run_tflite

from donna_hw.devices.backends.android.build_runner import build_runner
from donna_hw.errors import FileFormatError, UnavailableError, UnknownNameError
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.tflite_export import to_tflite
from donna_hw.testing import example_graphs

GRAPH = example_graphs()[1]
CROSS = "/usr/aarch64-linux-gnu"


@pytest.fixture(scope="module", params=["onnxruntime", "litert"])
def native(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Native:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "onnxruntime":
        model = folder / "m.onnx"
        model.write_bytes(to_onnx(GRAPH).SerializeToString())
        return Native(program, "onnxruntime", onnx_library(), model)
    model = folder / "m.tflite"
    model.write_bytes(to_tflite(GRAPH))
    return Native(program, "litert", LITERT_LIBRARY, model)


def computed(native: Native, tmp_path: Path, images: np.ndarray) -> np.ndarray:
    """Return what the runner computes of images [batch, channels, height, width]."""
    last = native.engine == "litert"
    raw, out = tmp_path / "in", tmp_path / "out"
    (images.transpose(0, 2, 3, 1) if last else images).astype("<f4").tofile(raw)
    code, said = native("--runs", 3, "--input", raw, "--output", out)
    assert code == 0, said
    channels, height, width = GRAPH.output_shape
    found = np.fromfile(out, "<f4")
    shape = (1, height, width, channels) if last else (1, channels, height, width)
    return found.reshape(shape).transpose(0, 3, 1, 2) if last else found.reshape(shape)


IMAGES = np.random.default_rng(0).standard_normal((1, *GRAPH.input_shape), dtype=np.float32)


def test_it_computes_what_the_runtime_does_in_python(native: Native, tmp_path: Path) -> None:
    if native.engine == "onnxruntime":
        session = onnxruntime.InferenceSession(str(native.model), providers=["CPUExecutionProvider"])
        wanted = session.run(None, {"input": IMAGES})[0]
    else:
        wanted = run_tflite(native.model.read_bytes(), IMAGES)
    assert np.abs(computed(native, tmp_path, IMAGES) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_every_run_is_reported(native: Native) -> None:
    code, (said,) = native("--runs", 7)
    assert code == 0
    assert len(said["wall_s"]) == len(said["cpu_s"]) == 7
    assert all(0 < time < PATIENCE_S for time in said["wall_s"])
    assert all(time > 0 for time in said["cpu_s"])
    assert said["before"].keys() == said["after"].keys() == {"temperature_c", "clock_hz"}


def test_it_serves_requests_until_its_input_ends_or_a_quit(native: Native) -> None:
    for asks in ("run 3\nrun 5\n", "run 3\nrun 5\nquit\nrun 9\n"):
        code, (ready, first, second) = native(asks=asks)
        assert code == 0
        assert (ready["donna_runner"], ready["engine"], ready["delegate"]) == (1, native.engine, "cpu")
        assert np.prod(ready["input"]) == np.prod(GRAPH.input_shape)
        assert ready["init_s"] > 0
        assert (len(first["wall_s"]), len(second["wall_s"])) == (3, 5)


def test_a_zone_is_read_in_thousandths_of_a_degree_and_a_missing_one_is_unknown(native: Native, tmp_path: Path) -> None:
    zone = tmp_path / "temp"
    zone.write_text("41250\n")
    assert native("--runs", 1, "--zone", zone)[1][0]["after"]["temperature_c"] == 41.25
    assert native("--runs", 1, "--zone", tmp_path / "none")[1][0]["after"]["temperature_c"] is None


@pytest.mark.parametrize(
    "ask", ["run 0", "run -1", "run x", "run 3x", "run 99999999999999999999", "run", "stop", "", "run " + "1" * 99]
)
def test_a_request_that_is_none_ends_it_in_words(native: Native, ask: str) -> None:
    code, said = native(asks=f"{ask}\nrun 3\n")
    assert code == 1
    assert "a request must be" in said[-1]["error"]
    assert len(said) == 2, "nothing was run"


@pytest.mark.parametrize(
    ("instead", "more", "message"),
    [
        ({"library": "/none.so"}, (), "the library must open"),
        ({"library": "libm.so.6"}, (), "must have the function"),
        ({"model": "/none"}, (), "none"),
        ({"model": '/a "quoted"\nname'}, (), "quoted"),
        ({"engine": "abacus"}, (), "--engine must be onnxruntime or litert"),
        ({}, ("--delegate", "abacus"), "--delegate of"),
        ({}, ("--threads", "0"), "--threads must be a whole number"),
        ({}, ("--runs", "many"), "--runs must be a whole number"),
        ({}, ("--runs", "0"), "--runs must be a whole number"),
        ({}, ("--speed", "9"), "an option must be known"),
        ({}, ("--runs",), "an option must be known and have its value"),
        ({}, ("word",), "every word must belong to an option"),
        ({}, ("--runs", "1", "--input", "/none"), "the input must be a file"),
        ({}, ("--runs", "1", "--output", "/none/out"), "the output must be written"),
    ],
)
def test_a_bad_start_is_refused_in_words(
    native: Native, instead: dict[str, str], more: tuple[str, ...], message: str
) -> None:
    code, said = native(*more, **instead)
    assert code == 1
    assert message in said[-1]["error"]


def test_an_input_of_another_size_is_refused(native: Native, tmp_path: Path) -> None:
    for size in (IMAGES.size - 1, IMAGES.size + 1):
        np.zeros(size, "<f4").tofile(tmp_path / "in")
        assert "float32 values" in native("--runs", 1, "--input", tmp_path / "in")[1][-1]["error"]


def test_a_file_that_is_no_model_is_refused(native: Native, tmp_path: Path) -> None:
    (tmp_path / "no").write_bytes(b"no model" * 100)
    code, said = native(model=tmp_path / "no")
    assert (code, list(said[-1])) == (1, ["error"])


def test_a_delegate_that_the_library_lacks_is_refused(native: Native) -> None:
    for delegate in ("gpu", "npu") if native.engine == "litert" else ("xnnpack", "nnapi", "qnn"):
        code, said = native("--delegate", delegate)
        assert (code, list(said[-1])) == (1, ["error"])


@pytest.mark.parametrize(
    ("kind", "sizes", "message"), [(TensorProto.INT64, [1, 2], "float32"), (TensorProto.FLOAT, ["n", 2], "fixed shape")]
)
def test_other_inputs_are_refused(
    program: Path, tmp_path: Path, kind: int, sizes: list[int | str], message: str
) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", kind, sizes)],
        [helper.make_tensor_value_info("y", kind, sizes)],
    )
    model = tmp_path / "m.onnx"
    onnx.save(helper.make_model(body, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), model)
    assert message in Native(program, "onnxruntime", onnx_library(), model)()[1][-1]["error"]


def test_it_is_built_for_aarch64_and_computes_the_same_there(tmp_path: Path) -> None:
    """Under qemu; times mean nothing there. The library is that of ONNX Runtime's wheel for aarch64, which CI fetches."""
    emulator, library = shutil.which("qemu-aarch64-static"), os.environ.get("DONNA_HW_AARCH64_ORT", "")
    needs(
        emulator is not None and shutil.which("aarch64-linux-gnu-gcc") is not None,
        "qemu-user-static, gcc-aarch64-linux-gnu",
    )
    needs(Path(library).is_file(), "DONNA_HW_AARCH64_ORT, the path of an aarch64 libonnxruntime.so")
    root = tmp_path / "root"
    (root / "proc").mkdir(parents=True)
    for folder in ("lib", "usr"):
        (root / folder).symlink_to(f"{CROSS}/{folder}" if Path(f"{CROSS}/{folder}").exists() else CROSS)
    # the library asks the processor's kind of a file that is the host's otherwise
    (root / "proc/cpuinfo").write_text(
        "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0b\n"
    )
    model = tmp_path / "m.onnx"
    model.write_bytes(to_onnx(GRAPH).SerializeToString())
    program = build_runner(tmp_path / "arm", abi="aarch64-linux")
    native = Native(program, "onnxruntime", Path(library), model, (str(emulator), "-L", str(root)))
    code, (ready, said) = native(asks="run 2\n")
    assert (code, ready["abi"], len(said["wall_s"])) == (0, "arm64-v8a", 2)
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"input": IMAGES})[0]
    assert np.abs(computed(native, tmp_path, IMAGES) - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_what_a_build_lacks_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UnknownNameError, match="unknown ABI 'mips'"):
        build_runner(tmp_path, abi="mips")
    with pytest.raises(UnavailableError, match=r"Android NDK; give --ndk FOLDER"):
        build_runner(tmp_path, abi="arm64-v8a")
    with pytest.raises(UnavailableError, match="Android NDK"):
        build_runner(tmp_path, abi="arm64-v8a", ndk=tmp_path)
    monkeypatch.setenv("CC", "false")
    with pytest.raises(FileFormatError, match="does not compile"):
        build_runner(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="needs CMake"):
        build_runner(tmp_path)
