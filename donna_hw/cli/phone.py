"""Commands for phones."""

from __future__ import annotations

from pathlib import Path

import click

from donna_hw.cli import completion as completing


@click.command("operators")
@click.argument("space", shell_complete=completing.spaces)
@click.argument("stage")
@click.argument("block", type=click.IntRange(0))
@click.option(
    "--device", required=True, shell_complete=completing.devices, help="A phone's name or file, whose runner is tflite."
)
@click.option("--runs", type=click.IntRange(1), default=30, show_default=True, help="Runs of the block.")
def operators(space: str, stage: str, block: int, device: str, runs: int) -> None:
    """Show what each operator of block BLOCK of a STAGE takes on a phone, by benchmark_model's own profiler."""
    from donna_hw._core.units import format_quantity
    from donna_hw.devices.backends.android.backend import AndroidBackend
    from donna_hw.devices.device import Device
    from donna_hw.errors import ConfigError
    from donna_hw.reporting.text.summaries import tabulate
    from donna_hw.spaces import load_space

    chosen = load_space(space)
    part = chosen.stage(stage)
    if block >= part.size:
        raise ConfigError(f"stage {stage} has the blocks 0 to {part.size - 1}", got=block)
    backend = Device.load(device).backend()
    if not isinstance(backend, AndroidBackend):
        raise ConfigError(
            "operators are told by a phone's benchmark_model", got=device, hint="see docs/guides/phone.md"
        )
    found = backend.operators(chosen.block_graph(part, block), runs)
    total_s = sum(one.mean_s for one in found)
    rows = [
        [one.kind, one.name, format_quantity(one.mean_s, "s"), f"{100 * one.mean_s / total_s:.1f} %"] for one in found
    ]
    click.echo(f"{stage} {part.label(block)} on {backend.environment().device_model}, mean of {runs} runs")
    click.echo(tabulate(["operator", "place", "mean", "share"], rows))


@click.command("phone-clean")
@click.option("--serial", default="", help="Which phone, as adb devices shows it.")
def phone_clean(serial: str) -> None:
    """Remove everything that this package has put on a phone."""
    from donna_hw.devices.backends.android.adb import Adb
    from donna_hw.devices.backends.android.discovery import find_adb, select_phone
    from donna_hw.devices.backends.android.remote_files import ROOT, RemoteFolder

    adb = select_phone(Adb(find_adb(), serial))
    RemoteFolder(adb).clean_all()
    click.echo(f"{adb.serial}: {ROOT} is removed")


@click.command("build-runner")
@click.option("--abi", default="host", show_default=True, help="The phone's, such as arm64-v8a; host for this machine.")
@click.option("--ndk", type=click.Path(path_type=Path), help="Folder of the Android NDK; else $ANDROID_NDK_HOME.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the program; else ~/.donna_hw/runners/<abi>.")
def build_runner(abi: str, ndk: Path | None, out: Path | None) -> None:
    """Build the native runner that times blocks on a phone."""
    from donna_hw.devices.backends.android.binaries import runner_folder
    from donna_hw.devices.backends.android.build_runner import build_runner as build

    click.echo(f"{build(out or runner_folder(abi), abi=abi, ndk=ndk)}")


COMMANDS = (build_runner, operators, phone_clean)
