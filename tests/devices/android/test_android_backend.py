"""Blocks on a phone, end to end: the real adb client, the test adbd, the real native runner and the real ONNX Runtime on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from adbd import Phone
from fakes import tiny_space
from phone_output import BATTERY, BENCHMARK, GETPROP, OPERATORS, THERMAL

from donna_hw._core.resources import data_roots
from donna_hw.devices.backends.android.backend import AndroidBackend
from donna_hw.devices.backends.android.binaries import runner_folder
from donna_hw.devices.backends.android.build_runner import build_runner
from donna_hw.devices.backends.android.remote_files import ROOT
from donna_hw.devices.device import Device, DeviceConfig
from donna_hw.errors import ConfigError, DonnaError, FileFormatError, TableError, UnavailableError
from donna_hw.measurement.protocol import PROTOCOLS, Protocol
from donna_hw.profiling.profiler import profile_space
from donna_hw.profiling.sample_journal import SampleJournal
from donna_hw.profiling.timed_costs import ProfilingBudget
from donna_hw.profiling.workers.in_process import create_in_process_workers
from donna_hw.profiling.workers.subprocess import create_subprocess_workers
from donna_hw.tables.latency_table import LatencyTable
from donna_hw.testing import check_backend, example_graphs

SPACE = tiny_space(kernels=(1, 3, 5, 7, 9, 11), reference=3)  # 2 stages of 12 blocks
BLOCKS = 24
FIXED = 2
SMALL = tiny_space()  # 2 stages of 4 blocks
ONCE = Protocol("once", rounds=1, warmup=0, samples=5, statistic="mean")
PC = GETPROP.replace("arm64-v8a,armeabi-v7a,armeabi", "x86_64").replace("arm64-v8a", "x86_64")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The native runner, built for this machine."""
    return build_runner(tmp_path_factory.mktemp("runner"))


@pytest.fixture
def phone(plug_in: Callable[..., Phone], program: Path) -> Phone:
    """A phone that runs this machine's programs, for which the user has put runner and library in place."""
    folder = runner_folder("x86_64")
    folder.mkdir(parents=True)
    shutil.copy(program, folder / "donna_runner")
    library = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so.*"))
    shutil.copy(library, folder / "libonnxruntime.so")
    phone = plug_in()
    phone.set_output("getprop", PC)
    return phone


def device(phone: Phone, name: str = "a_phone", match: str = "", **options: object) -> Device:
    own: Mapping[str, object] = {"runner": "onnxruntime", "serial": phone.serial, "wait_s": 0.2, **options}
    return Device(
        name,
        DeviceConfig(title="a phone", backend="android", protocol="paper_s20", match=match, options=dict(own)),  # type: ignore[arg-type]
    )


def visits(table: LatencyTable | Path) -> dict[str, int]:
    path = table if isinstance(table, Path) else table.path.with_suffix(".samples.csv")
    return {key: len(record.trials) for key, record in SampleJournal(path).read().items()}


def test_the_backend_fulfills_the_contract(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AndroidBackend, "options", {**AndroidBackend.options, "runner": "onnxruntime"})
    check_backend(AndroidBackend)
    assert phone.pushed


def test_a_table_is_filled_over_adb_from_end_to_end(phone: Phone, tmp_path: Path) -> None:
    table = profile_space(
        SPACE, device(phone, match="snapdragon 865"), tmp_path, ONCE, workers=create_subprocess_workers
    )
    assert len(table.frame) == BLOCKS + FIXED
    assert (table.frame["samples"] == ONCE.samples).all()
    assert (table.frame["mean_s"] > 0).all()
    identity, conditions = table.info.identity, table.info.conditions
    assert identity["device_model"] == "samsung SM-G981U (Snapdragon 865)"
    assert (identity["chip"], identity["android"], identity["build"]) == ("Snapdragon 865", "13", "TP1A.220624.014")
    assert identity["runtime"] == f"onnxruntime {onnxruntime.__version__}"
    assert (conditions["governor"], conditions["battery_percent"], conditions["skin_c"]) == ("schedutil", 71, 29.9)
    assert "screen" in str(conditions["hints"])
    assert sum(".onnx" in path for path in phone.pushed) >= BLOCKS + FIXED
    assert [path.name for path in phone.here(ROOT).iterdir() if any(path.iterdir())] == ["kept"], "no model is left"
    once = [path for path in phone.pushed if "libonnxruntime" in path or "donna_runner" in path]
    assert len(once) == len(set(once)), "programs and libraries are pushed once"


def test_litert_fills_a_table_too(phone: Phone, tmp_path: Path) -> None:
    import ai_edge_litert

    shutil.copy(Path(str(ai_edge_litert.__path__[0])) / "libLiteRt.so", runner_folder("x86_64"))
    table = profile_space(SMALL, device(phone, runner="litert"), tmp_path, ONCE, workers=create_in_process_workers)
    assert len(table.frame) == 8 + FIXED
    assert str(table.info.identity["runtime"]).startswith("litert ")
    assert sum(".tflite" in path for path in phone.pushed) >= 8 + FIXED
    with pytest.raises(DonnaError, match="compile the model for the delegate"):
        device(phone, runner="litert", delegate="gpu").backend()


def test_a_phone_that_drops_out_and_stays_away_loses_nothing_and_the_next_start_goes_on(
    phone: Phone, tmp_path: Path
) -> None:
    phone.faults.drop_at = r"-12\.onnx "
    with pytest.raises(
        UnavailableError, match=r"no device is left to measure on.*start again: everything measured is saved"
    ):
        profile_space(SPACE, device(phone), tmp_path, ONCE, workers=create_subprocess_workers)
    journal = next(tmp_path.rglob("*.samples.csv"))
    before = journal.read_text()
    assert 0 < len(visits(journal)) < BLOCKS
    phone.start()
    table = profile_space(SPACE, device(phone), tmp_path, ONCE, workers=create_subprocess_workers)
    assert len(table.frame) == BLOCKS + FIXED
    assert journal.read_text().startswith(before), "what was measured is not measured again"
    assert set(visits(table).values()) == {1}


def test_a_phone_that_drops_out_and_comes_back_is_gone_on_with(phone: Phone, tmp_path: Path) -> None:
    phone.faults.drop_at, phone.faults.returns = r"-5\.onnx ", True
    table = profile_space(SMALL, device(phone, wait_s=60.0), tmp_path, ONCE, workers=create_in_process_workers)
    assert len(table.frame) == 8 + FIXED
    assert not phone.faults.drop_at, "it did drop out"
    assert set(visits(table).values()) == {1}


def test_two_phones_share_the_blocks(phone: Phone, plug_in: Callable[..., Phone], tmp_path: Path) -> None:
    other = plug_in("other")
    other.set_output("getprop", PC)
    one = device(phone)
    pool = one.config.model_copy(update={"pool": [{"serial": phone.serial}, {"serial": other.serial}]})
    # devices of a pool must be alike: on a busy machine two fakes of one phone need not be
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("donna_hw.profiling.timed_costs.validate_pool", lambda crew, sentinel: None)
        table = profile_space(SMALL, replace(one, config=pool), tmp_path, ONCE, workers=create_in_process_workers)
    records = SampleJournal(table.path.with_suffix(".samples.csv")).read().values()
    assert {visit.device for record in records for visit in record.trials} == {"a_phone.0", "a_phone.1"}
    assert len(table.frame) == 8 + FIXED


def test_a_table_of_one_chip_refuses_the_other(phone: Phone, tmp_path: Path) -> None:
    profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)
    exynos = PC.replace("SM8250", "Exynos 990").replace("kona", "universal9830")
    phone.set_output("getprop", exynos)
    with pytest.raises(TableError, match="chip = 'Snapdragon 865'"):
        profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)
    with pytest.raises(UnavailableError, match="must be a 'Snapdragon 865'"):
        device(phone, match="Snapdragon 865").backend()


def test_a_phone_too_hot_is_not_started_with(phone: Phone, tmp_path: Path) -> None:
    phone.set_output("dumpsys battery", BATTERY.replace("temperature: 287", "temperature: 431"))
    with pytest.raises(UnavailableError, match=r"below 40 C at its battery to start; got '43\.1 C'"):
        profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)
    assert not list(tmp_path.rglob("*.csv"))


def test_throttling_by_androids_own_word_marks_every_row(phone: Phone, tmp_path: Path) -> None:
    phone.set_output("dumpsys thermalservice", THERMAL.replace("Thermal Status: 0", "Thermal Status: 2"))
    table = profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)
    assert set(table.frame["verdict"]) == {"throttled"}
    assert table.frame["evidence"].str.contains("thermal status moderate").all()


def test_until_cool_waits_for_the_start_temperature_and_gives_up_at_its_limit(phone: Phone) -> None:
    backend = device(phone, cool_down="until_cool", cool_limit_s=12.0).backend()
    assert backend.cool_down_s(60.0, 0.0) == 0.0, "as cool as at the start"
    phone.set_output("dumpsys battery", BATTERY.replace("temperature: 287", "temperature: 312"))
    assert [backend.cool_down_s(60.0, waited) for waited in (0.0, 5.0, 10.0, 12.0)] == [5.0, 5.0, 2.0, 0.0]
    assert isinstance(backend, AndroidBackend)
    assert backend.read_telemetry().throttle_reasons == ("still warm after cooling down",)


def test_a_zone_may_be_a_file_of_the_kernels(phone: Phone) -> None:
    zone = "/sys/class/thermal/thermal_zone9/temp"
    phone.here(zone).parent.mkdir(parents=True)
    phone.here(zone).write_text("30000\n")
    backend = device(phone, cool_down="until_cool", zone=zone).backend()
    assert backend.cool_down_s(60.0, 0.0) == 0.0
    phone.here(zone).write_text("31500\n")
    assert backend.cool_down_s(60.0, 0.0) == 5.0
    with closing(backend.prepare(example_graphs()[0])) as runner:
        runner.samples(2)
    assert backend.read_telemetry().temperature_c == 31.5


def test_a_zone_that_the_phone_does_not_report_is_refused(phone: Phone) -> None:
    backend = device(phone, cool_down="until_cool", zone="antenna").backend()
    with pytest.raises(UnavailableError, match=r"temperature of its antenna.*skin"):
        backend.cool_down_s(60.0, 0.0)


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        ("Segmentation fault\n", "did not reply in JSON; got 'Segmentation fault'"),
        ("", "ended with exit code 0; got 'no output'"),
        (
            '{"donna_runner":1,"engine":"x","version":"1","abi":"y","delegate":"cpu"}\n',
            "ended with exit code 0",
        ),
        ('{"donna_runner":9}\n', "must have protocol version 1; got '9'"),
        ('{"error":"no such model"}\n', "cannot run the block; got 'no such model"),
        ("[0.0]\n", "did not reply in JSON"),
    ],
)
def test_a_runner_that_prints_something_else_is_refused_by_its_message(
    phone: Phone, instead: str, message: str
) -> None:
    backend = device(phone).backend()
    assert isinstance(backend, AndroidBackend)
    phone.faults.instead = ("donna_runner", instead)
    with pytest.raises(DonnaError, match=message), closing(backend.prepare(example_graphs()[0])) as runner:
        runner.samples(3)


def test_a_runner_that_the_phone_kills_fails_its_block_and_no_other(phone: Phone, tmp_path: Path) -> None:
    phone.faults.kill = r"-4\.onnx "
    table = profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)
    assert len(table.frame) == 8 + FIXED, "its second try has another name"
    phone.faults.kill = r"donna_runner"
    with pytest.raises(DonnaError, match="perhaps out of memory"):
        device(phone).backend()


def test_a_phone_without_room_is_reported_as_full(phone: Phone, tmp_path: Path) -> None:
    phone.faults.full = True
    with pytest.raises(UnavailableError, match="no space left on the phone"):
        profile_space(SMALL, device(phone), tmp_path, ONCE, workers=create_in_process_workers)


def test_a_program_for_another_abi_is_refused_and_never_pushed(phone: Phone) -> None:
    phone.set_output("getprop", GETPROP)
    folder = runner_folder("x86_64")
    options = {"runner_path": str(folder / "donna_runner"), "library": str(folder / "libonnxruntime.so")}
    with pytest.raises(
        FileFormatError, match="not built for the phone's ABI; got 'x86_64'; expected arm64-v8a or armeabi-v7a"
    ):
        device(phone, **options).backend()
    assert not any("donna_runner" in path for path in phone.pushed)


def test_what_is_missing_is_an_error_with_its_place(phone: Phone) -> None:
    (runner_folder("x86_64") / "libonnxruntime.so").unlink()
    with pytest.raises(UnavailableError, match=r"no libonnxruntime\.so in .*x86_64"):
        device(phone).backend()
    (runner_folder("x86_64") / "donna_runner").unlink()
    with pytest.raises(UnavailableError, match="donna-hw phone build-runner"):
        device(phone).backend()


def test_googles_tool_gives_a_mean_to_the_papers_protocol_and_nothing_to_one_of_medians(
    phone: Phone, program: Path, tmp_path: Path
) -> None:
    shutil.copy(program, runner_folder("x86_64") / "benchmark_model")  # not the tool: what it prints is the test's
    phone.faults.instead = ("--graph=", BENCHMARK)
    rested = replace(PROTOCOLS["paper_s20"], cool_down_s=0.0)
    pixel = device(phone, runner="tflite", delegate="gpu")
    table = profile_space(SMALL, pixel, tmp_path, rested, workers=create_in_process_workers)
    assert table.frame["mean_s"].to_numpy() == pytest.approx(0.115246)
    assert (table.frame["samples"] == 30).all()
    assert (table.frame["method"] == "summary").all()
    assert table.frame["median_s"].isna().all()
    assert table.info.identity["dtype"] == "float16"
    again = LatencyTable.read(table.path)
    assert np.array_equal(again.frame["mean_s"], table.frame["mean_s"])
    with pytest.raises(
        ConfigError, match="protocol precise takes the median, which device a_phone does not report; expected mean"
    ):
        profile_space(SMALL, pixel, tmp_path, PROTOCOLS["precise"], workers=create_in_process_workers)


def test_operators_are_shown_by_googles_tool(
    phone: Phone, program: Path, main: Callable[..., tuple[int, str, str]]
) -> None:
    shutil.copy(program, runner_folder("x86_64") / "benchmark_model")  # not the tool: what it prints is the test's
    phone.faults.instead = ("--enable_op_profiling=true", BENCHMARK + OPERATORS)
    folder = data_roots()[0] / "devices"
    folder.mkdir()
    (folder / "tool.toml").write_text(
        'title = "a phone"\nbackend = "android"\nprotocol = "paper_s20"\n'
        f'[options]\nrunner = "tflite"\ndelegate = "gpu"\nserial = "{phone.serial}"\n'
    )
    code, out, _ = main("phone", "operators", "small_8px", "stage1", "0", "--device", "tool")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[-2:]] == [
        ["CONV_2D", "expand"],
        ["DEPTHWISE_CONV_2D", "depthwise"],
    ]
    assert "80.0 %" in out
    assert main("phone", "operators", "small_8px", "stage1", "999", "--device", "tool")[0] == 2
    assert main("phone", "operators", "small_8px", "stage1", "0", "--device", "onnxruntime_cpu")[0] == 2


def test_hints_and_pauses_are_reported_before_the_start(
    phone: Phone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "donna_hw")
    protocol = replace(ONCE, cool_down_s=0.001)
    profile_space(SMALL, device(phone), tmp_path, protocol, budget=ProfilingBudget(), workers=create_in_process_workers)
    said = caplog.text
    assert "a_phone.0: its screen is on" in said
    assert "10 blocks, 10 of them with different layers: one device rests" in said
