"""Where the native runner could say something plausible and wrong: a delegate's silent help, a library's crash, its chatter, its age."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from native_program import LITERT_LIBRARY, PATIENCE_S, Native, onnx_library
from onnx import TensorProto, helper
from paths import ROOT
from requirements import needs

from donna_hw.devices.backends.android.build_runner import build_runner
from donna_hw.graph.onnx_export import to_onnx
from donna_hw.graph.tflite_export import to_tflite
from donna_hw.testing import example_graphs

GRAPH = example_graphs()[0]
RUNNERS = ROOT / "runners"

# ONNX Runtime itself, but for what a test changes: Azure's provider, which computes no layer, stands for every other one
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
struct base { const void *(*get_api)(uint32_t); const char *(*get_version)(void); };
static void *table[217];
static struct base own;
static void *azure(void *options, const char *name, const char *const *keys, const char *const *values, size_t count) {
  static void *(*append)(void *, const char *, const char *const *, const char *const *, size_t);
  if (append == NULL) { append = (void *)table[216]; return NULL; }
  (void)name, (void)keys, (void)values, (void)count;
  return append(options, "AZURE", NULL, NULL, 0);
}
void *OrtSessionOptionsAppendExecutionProvider_Nnapi(void *options, uint32_t flags) {
  (void)flags;
  return azure(options, NULL, NULL, NULL, 0);
}
static void *crash(void) { CRASH; return NULL; }
static const void *get_api(uint32_t version) {
  struct base *(*get_base)(void) = (struct base * (*)(void)) dlsym(dlopen(REAL, RTLD_NOW), "OrtGetApiBase");
  void *const *real = get_base()->get_api(version);
  for (int i = 0; i < 217; i++) table[i] = real[i];
  azure(NULL, NULL, NULL, NULL, 0);
  table[216] = (void *)azure;
  if (CRASHES) table[133] = (void *)crash;
  return table;
}
static const char *get_version(void) { return VERSION; }
const struct base *OrtGetApiBase(void) {
  puts("a library that chats on standard output");
  own.get_api = get_api;
  own.get_version = get_version;
  return &own;
}
"""


@pytest.fixture
def onnx_native(program: Path, tmp_path: Path) -> Native:
    model = tmp_path / "m.onnx"
    model.write_bytes(to_onnx(GRAPH).SerializeToString())
    return Native(program, "onnxruntime", onnx_library(), model)


@pytest.fixture
def litert_native(program: Path, tmp_path: Path) -> Native:
    model = tmp_path / "m.tflite"
    model.write_bytes(to_tflite(GRAPH))
    return Native(program, "litert", LITERT_LIBRARY, model)


@pytest.fixture
def shared_library(tmp_path: Path) -> Callable[..., Path]:
    compiler = shutil.which("cc")
    needs(compiler is not None, "a C compiler")

    def build(source: str, *defined: str) -> Path:
        path = tmp_path / "made.so"
        words = [str(compiler), "-shared", "-fPIC", "-x", "c", "-", "-o", str(path), *(f"-D{one}" for one in defined)]
        subprocess.run([*words, "-ldl"], input=source.encode(), check=True, timeout=60)
        return path

    return build


def shim(build: Callable[..., Path], *, version: str = "1.31.1", crash: str = "") -> Path:
    return build(
        SHIM, f'REAL="{onnx_library()}"', f'VERSION="{version}"', f"CRASH={crash}", f"CRASHES={int(bool(crash))}"
    )


@pytest.mark.parametrize("delegate", ["xnnpack", "nnapi", "qnn"])
def test_a_delegate_that_leaves_layers_to_the_cpu_is_refused_unless_that_is_asked_for(
    onnx_native: Native, shared_library: Callable[..., Path], delegate: str
) -> None:
    library = shim(shared_library)
    code, (said,) = onnx_native("--runs", 2, "--delegate", delegate, library=library)
    assert code == 1
    assert "fallback" in said["error"]
    code, (said,) = onnx_native("--runs", 2, "--delegate", delegate, "--cpu-fallback", library=library)
    assert (code, len(said["wall_s"]), said["cpu_s"]) == (0, 2, None)


def test_a_library_that_cannot_forbid_the_cpu_is_refused_for_a_delegate(
    onnx_native: Native, shared_library: Callable[..., Path]
) -> None:
    old = shim(shared_library, version="1.15.1")
    assert "1.16 or newer" in onnx_native("--delegate", "xnnpack", library=old)[1][-1]["error"]
    assert onnx_native("--runs", 1, library=old)[0] == 0


def test_what_a_library_prints_is_no_answer(onnx_native: Native, shared_library: Callable[..., Path]) -> None:
    command = onnx_native.command("--runs", 1, library=shim(shared_library))
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=True)
    assert json.loads(done.stdout).keys() == {"wall_s", "cpu_s", "before", "after"}
    assert b"a library that chats" in done.stderr


@pytest.mark.parametrize(("crash", "signal"), [("abort()", 6), ("*(volatile int *)8 = 1", 11)])
def test_a_crash_of_the_library_is_answered(
    onnx_native: Native, shared_library: Callable[..., Path], crash: str, signal: int
) -> None:
    code, (ready, said) = onnx_native(asks="run 3\n", library=shim(shared_library, crash=crash))
    assert (code, ready["donna_runner"]) == (1, 1)
    assert f"crashed with signal {signal:02}" in said["error"]


def test_a_library_of_litert_whose_functions_take_other_arguments_is_refused(
    litert_native: Native, shared_library: Callable[..., Path]
) -> None:
    names = re.findall(r'"(LiteRt\w+)"', (RUNNERS / "litert_abi.h").read_text())
    assert len(names) > 20
    old = shared_library("".join(f"int {name}(void) {{ return 0; }}\n" for name in names))
    assert "2.1.6 or newer" in litert_native("--runs", 1, library=old)[1][-1]["error"]


def test_a_run_that_fails_is_one_answer_and_no_sample(program: Path, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["t", "i"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    held = [helper.make_tensor("t", TensorProto.FLOAT, [2], [1.0, 2.0])]
    body = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    onnx.save(helper.make_model(body, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m")
    native = Native(program, "onnxruntime", onnx_library(), tmp_path / "m")
    np.array([1], "<f4").tofile(tmp_path / "in")
    assert native("--runs", 1, "--input", tmp_path / "in")[0] == 0
    np.array([9], "<f4").tofile(tmp_path / "in")
    code, (said,) = native("--runs", 1, "--input", tmp_path / "in")
    assert (code, list(said)) == (1, ["error"])
    assert "run the model" in said["error"]


@pytest.mark.parametrize("engine", ["onnx_native", "litert_native"])
def test_threads_are_as_many_as_asked_for(request: pytest.FixtureRequest, engine: str) -> None:
    native: Native = request.getfixturevalue(engine)

    def threads(wanted: int) -> int:
        command = native.command("--threads", wanted)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, **pipes) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["donna_runner"] == 1
            process.stdin.write(b"run 2\n")
            process.stdin.flush()
            assert (json.loads(process.stdout.readline())["cpu_s"] is None) == (wanted > 1)
            found = len(list(Path(f"/proc/{process.pid}/task").iterdir()))
            process.stdin.write(b"quit\n")
            process.stdin.flush()
            assert process.wait(PATIENCE_S) == 0
        return found

    assert threads(3) == threads(1) + 2


def test_threads_of_a_delegate_that_has_none_are_refused(litert_native: Native) -> None:
    assert "threads are the CPU's" in litert_native("--delegate", "npu", "--threads", 2)[1][-1]["error"]


@pytest.mark.parametrize("ask", ["run  3", "run +3", "run 3 ", "RUN 3", "run 1000001", "quit now"])
def test_a_request_is_taken_to_the_letter(onnx_native: Native, ask: str) -> None:
    code, said = onnx_native(asks=f"{ask}\n")
    assert (code, [list(line) for line in said[1:]]) == (1, [["error"]])


@pytest.mark.parametrize("text", ["-274000\n", "warm\n", "41250 or so\n", "", "99999999999999999999\n"])
def test_a_zone_that_is_off_or_holds_no_number_is_unknown(onnx_native: Native, tmp_path: Path, text: str) -> None:
    (tmp_path / "temp").write_text(text)
    assert onnx_native("--runs", 1, "--zone", tmp_path / "temp")[1][0]["before"]["temperature_c"] is None


def test_a_path_that_is_no_text_is_reported_in_json(onnx_native: Native) -> None:
    code, (said,) = onnx_native(model=os.fsdecode(b'/none\xff"\n\xe2\x82\xac'))
    assert code == 1
    assert '/none\ufffd"\n€' in said["error"]


def test_a_model_of_the_wrong_type_is_refused_by_litert(litert_native: Native) -> None:
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(litert_native.model.read_bytes(), 0))
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT32
    write_tflite(model, litert_native.model)
    assert "float32" in litert_native("--runs", 1)[1][-1]["error"]


def write_tflite(model: schema.ModelT, path: Path) -> None:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))


def subtraction_in_tflite(path: Path) -> None:
    """Write the model that subtracts its second input from its first, [1, 4] each."""
    tensors = [schema.TensorT(shape=[1, 4], type=schema.TensorType.FLOAT32, buffer=0, name=name) for name in "aby"]
    operator = schema.OperatorT(opcodeIndex=0, inputs=[0, 1], outputs=[2])
    operator.builtinOptionsType = schema.BuiltinOptions.SubOptions
    operator.builtinOptions = schema.SubOptionsT()
    graph = schema.SubGraphT(tensors=tensors, inputs=[0, 1], outputs=[2], operators=[operator])
    kind = schema.BuiltinOperator.SUB
    code = schema.OperatorCodeT(builtinCode=kind, deprecatedBuiltinCode=kind, version=1)
    write_tflite(
        schema.ModelT(version=3, operatorCodes=[code], subgraphs=[graph], buffers=[schema.BufferT(data=[])]), path
    )


def subtraction_in_onnx(path: Path) -> None:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "aby"]
    body = helper.make_graph([helper.make_node("Sub", ["a", "b"], ["y"])], "g", ends[:2], ends[2:])
    onnx.save(helper.make_model(body, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)


@pytest.mark.parametrize("engine", ["onnx_native", "litert_native"])
def test_several_inputs_are_read_one_after_another(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> None:
    native: Native = request.getfixturevalue(engine)
    {"onnx_native": subtraction_in_onnx, "litert_native": subtraction_in_tflite}[engine](native.model)
    np.arange(8, dtype="<f4").tofile(tmp_path / "in")
    assert native("--runs", 1, "--input", tmp_path / "in", "--output", tmp_path / "out")[0] == 0
    assert np.fromfile(tmp_path / "out", "<f4").tolist() == [-4.0] * 4


@pytest.mark.parametrize("asks", ["", "quit\n", "run 2\nrun 1\n"])
def test_an_output_is_written_when_serving_ends(onnx_native: Native, tmp_path: Path, asks: str) -> None:
    assert onnx_native("--output", tmp_path / "served", asks=asks)[0] == 0
    assert onnx_native("--output", tmp_path / "wanted", "--runs", 1)[0] == 0
    assert (tmp_path / "served").read_bytes() == (tmp_path / "wanted").read_bytes()
    assert np.abs(np.fromfile(tmp_path / "served", "<f4")).max() > 0


def test_the_ndk_gets_the_abi_and_the_oldest_android(tmp_path: Path) -> None:
    """A toolchain file that compiles for this machine, if it is asked for as the NDK's must be."""
    needs(shutil.which("cmake") is not None, "cmake")
    toolchain = tmp_path / "build/cmake/android.toolchain.cmake"
    toolchain.parent.mkdir(parents=True)
    toolchain.write_text(
        'if(NOT "${ANDROID_ABI} ${ANDROID_PLATFORM}" STREQUAL "arm64-v8a android-26")\n'
        '  message(FATAL_ERROR "asked for ${ANDROID_ABI} ${ANDROID_PLATFORM}")\nendif()\n'
        "set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI ANDROID_PLATFORM)\n"
    )
    assert build_runner(tmp_path / "out", abi="arm64-v8a", ndk=tmp_path).is_file()
