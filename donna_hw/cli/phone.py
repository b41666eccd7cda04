"""Commands for phones: `donna-hw phone`."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli.options import FOLDER, RUNNER_ABIS, SPACE
from donna_hw.cli.shell_completion import complete_devices


@click.group()
def phone() -> None:
    """Set up and inspect phones for measurements."""


@phone.command()
@SPACE
@click.argument("stage")
@click.argument("block", type=click.IntRange(0))
@click.option(
    "--device",
    required=True,
    shell_complete=complete_devices,
    help="A phone's name or its file; its runner must be tflite.",
)
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Runs of the block.")
def operators(space: str, stage: str, block: int, device: str, repeats: int) -> None:
    """Show the time of each operator of one block on a phone.

    BLOCK is the block's number in STAGE. The times come from the profiler of TFLite's benchmark_model.
    """
    from donna_hw.devices.backends.android.backend import AndroidBackend
    from donna_hw.devices.device import Device
    from donna_hw.errors import ConfigError
    from donna_hw.reporting.text.devices import format_operators
    from donna_hw.spaces import load_space

    loaded = load_space(space)
    selected = loaded.stage(stage)
    if block >= selected.size:
        raise ConfigError(f"block of stage {stage} must be 0 to {selected.size - 1}", got=block)
    backend = Device.load(device).backend()
    if not isinstance(backend, AndroidBackend):
        raise ConfigError("device must be a phone", got=device, hint="see docs/guides/phone.md")
    times = backend.operators(loaded.block_graph(selected, block), repeats)
    click.echo(f"{stage} {selected.label(block)} on {backend.environment().device_model}, mean of {repeats} runs")
    click.echo(format_operators(times))


@phone.command()
@click.option("--serial", default="", help="Serial number of the phone, as `adb devices` shows it.")
def clean(serial: str) -> None:
    """Remove everything that this package stored on a phone."""
    from donna_hw.devices.backends.android.adb import Adb
    from donna_hw.devices.backends.android.discovery import find_adb, select_phone
    from donna_hw.devices.backends.android.remote_files import ROOT, RemoteFolder

    adb = select_phone(Adb(find_adb(), serial))
    RemoteFolder(adb).clean_all()
    click.echo(f"{adb.serial}: {ROOT} is removed")


@phone.command("build-runner")
@click.option(
    "--abi",
    type=click.Choice(RUNNER_ABIS),
    default="host",
    show_default=True,
    help="ABI of the phone; host: this machine.",
)
@click.option("--ndk", type=FOLDER, help="Folder of the Android NDK; by default $ANDROID_NDK_HOME.")
@click.option("--output-dir", type=FOLDER, help="Folder of the program; by default ~/.donna_hw/runners/<abi>.")
def build_runner(abi: str, ndk: Path | None, output_dir: Path | None) -> None:
    """Build the native runner that times blocks on a phone."""
    from donna_hw.devices.backends.android.binaries import runner_folder
    from donna_hw.devices.backends.android.build_runner import build_runner as build

    click.echo(str(build(output_dir or runner_folder(abi), abi=abi, ndk=ndk)))
