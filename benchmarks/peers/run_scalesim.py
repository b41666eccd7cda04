"""Runs SCALE-Sim over layers and arrays; run by a peers' interpreter, JSON in and out.

Reads {"layers": [[name, height, width, kernel, channels, filters, stride]], "arrays": [[rows, cols, dataflow]]} with padded maps and writes
{"version": ..., "numpy": ..., "cycles": [[cycles of a layer] of an array], "seconds": ...}.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from scalesim.scale_sim import scalesim

SETTINGS = """
[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
Dataflow = {dataflow}
IfmapSramSzkB = 8192
FilterSramSzkB = 8192
OfmapSramSzkB = 8192
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
ReadRequestBuffer = 64
WriteRequestBuffer = 64
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
SparseRep = ellpack_block
OptimizedMapping = false
BlockSize = 8
RandomNumberGeneratorSeed = 40
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""


def cycles(folder: Path, array: list[int | str]) -> list[int]:
    """Return the cycles of each layer on one array, from the report that SCALE-Sim writes."""
    rows, cols, dataflow = array
    (folder / "run.cfg").write_text(SETTINGS.format(rows=rows, cols=cols, dataflow=dataflow), encoding="utf-8")
    paths = {
        key: str(folder / name)
        for key, name in (("config", "run.cfg"), ("topology", "net.csv"), ("layout", "layout.csv"))
    }
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        scalesim(save_disk_space=True, verbose=False, **paths).run_scale(top_path=str(folder / "out"))
    with (folder / "out" / "run" / "COMPUTE_REPORT.csv").open(encoding="utf-8") as file:
        return [int(float(row[" Total Cycles"])) for row in csv.DictReader(file)]


def main() -> None:
    """Run the layers and arrays of standard input."""
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        net = ["Layer, H, W, KH, KW, Channels, Filters, Stride, Sparsity,"]
        net += [f"{layer}, {h}, {w}, {k}, {k}, {c}, {n}, {s}, 1:1," for layer, h, w, k, c, n, s in request["layers"]]
        (folder / "net.csv").write_text("\n".join(net) + "\n", encoding="utf-8")
        layout = ["Layer," * 11] + [f"{layer[0]}," + "1," * 10 for layer in request["layers"]]
        (folder / "layout.csv").write_text("\n".join(layout) + "\n", encoding="utf-8")
        start = time.perf_counter()
        array_cycles = [cycles(folder, array) for array in request["arrays"]]
        seconds = time.perf_counter() - start
    json.dump(
        {"version": version("scalesim"), "numpy": version("numpy"), "cycles": array_cycles, "seconds": seconds},
        sys.stdout,
    )


if __name__ == "__main__":
    main()
