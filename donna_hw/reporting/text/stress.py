"""What `donna-hw stress` prints: the loop minute by minute, and its first window compared with its last."""

from __future__ import annotations

from donna_hw._core.units import format_quantity
from donna_hw.measurement.throttling import StressResult, Window
from donna_hw.reporting.text.rich_table import render_table

# readings of the device -> their column
TELEMETRY_COLUMNS = {"clock_hz": "GHz", "temperature_c": "C", "power_w": "W", "throttle_reasons": "throttled by"}


def format_minutes(result: StressResult) -> str:
    """Return the loop minute by minute, with the readings that the device gave."""
    windows = result.split_by_minute()
    readings = [name for name in TELEMETRY_COLUMNS if any(getattr(window, name) for window in windows)]
    header = ["from", "median", "95 % interval", "images/s", *(TELEMETRY_COLUMNS[name] for name in readings)]
    return render_table(header, [_minute_row(window, result.batch, readings) for window in windows])


def format_stress_result(result: StressResult) -> str:
    """Return the latencies of the first and the last window, and the verdict."""
    first, last = result.first, result.last
    return (
        f"first {result.window_s:.3g} s: {format_quantity(first.median_s, 's')}, {_format_throughput(first, result.batch)} images/s; "
        f"last {result.window_s:.3g} s: {format_quantity(last.median_s, 's')}, {_format_throughput(last, result.batch)} images/s\n"
        f"verdict: {result.verdict}"
    )


def _minute_row(window: Window, batch: int, readings: list[str]) -> list[str]:
    interval = window.interval
    bounds = (
        f"{format_quantity(interval.low, 's')} to {format_quantity(interval.high, 's')}"
        if interval
        else "one span only"
    )
    minutes, seconds = divmod(window.start_s, 60)
    cells = [f"{minutes:.0f}:{seconds:04.1f}", format_quantity(window.median_s, "s"), bounds]
    return [*cells, _format_throughput(window, batch), *(_format_reading(window, name) for name in readings)]


def _format_throughput(window: Window, batch: int) -> str:
    images_per_s = batch * window.runs_per_s
    return f"{images_per_s:.0f}" if images_per_s >= 1000 else f"{images_per_s:.4g}"


def _format_reading(window: Window, name: str) -> str:
    if name == "throttle_reasons":
        return ", ".join(window.throttle_reasons) or "-"
    value = getattr(window, name)
    return "-" if value is None else f"{value / (1e9 if name == 'clock_hz' else 1):.3g}"
