"""Hardware and workloads for tests: round numbers and random graphs of layers, not those of a real unit."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from donna_hw.simulator.hardware import Hardware, parse_hardware
from donna_hw.simulator.workload import Geometry, Node, Tensor, Workload

PLAIN: dict[str, Any] = {
    "clock_hz": 1e9,
    "array": {"rows": 8, "cols": 8, "dataflow": "ws"},
    "memory": {
        "sram_bytes": 65536.0,
        "weight_buffer_bytes": 16384.0,
        "accumulator_bytes": 65536.0,
        "sram_bytes_per_cycle": 32.0,
        "dram_bytes_per_cycle": 4.0,
        "dram_burst_bytes": 16,
        "dram_latency_cycles": 20,
        "dma_setup_cycles": 5,
    },
    "vector": {"lanes": 16, "cycles": {"default": 1.0, "swish": 4.0, "mac": 1.0}},
    "output": {"elements_per_cycle": 8.0, "fuses": ["relu"]},
    "schedule": {"operator_overhead_cycles": 10},
    "energy": {
        "int8_mac_j": 1e-12,
        "sram_byte_j": 2e-12,
        "dram_byte_j": 1e-10,
        "vector_element_j": 3e-12,
        "static_w": 0.1,
    },
}


def unit(*settings: str) -> Hardware:
    """Return the plain unit with `settings` such as `array.rows=16`."""
    return parse_hardware(PLAIN, "plain", settings)


class Sketch:
    """A workload under construction: each method adds an operator and returns the index of its output."""

    def __init__(self, channels: int, height: int, width: int, batch: int = 1) -> None:
        self.batch = batch
        self.tensors: list[Tensor] = []
        self.shapes: list[tuple[int, int, int]] = []
        self.nodes: list[Node] = []
        self._tensor(channels, height, width)

    def _tensor(self, channels: int, height: int, width: int) -> int:
        self.tensors.append(Tensor(self.batch * channels * height * width, channels))
        self.shapes.append((channels, height, width))
        return len(self.tensors) - 1

    def conv(self, x: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> int:
        """Add a convolution that pads by half its kernel."""
        in_channels, height, width = self.shapes[x]
        out = self._tensor(channels, -(-height // stride), -(-width // stride))
        geometry = Geometry(
            self.batch, in_channels, height, width, *self.shapes[out], kernel, kernel, stride, stride, 1, 1, groups
        )
        weights = in_channels // groups * channels * kernel * kernel
        self.nodes.append(Node("array", "", f"conv{out}", "Conv", (x,), (out,), geometry, weights, channels))
        return out

    def vector(self, function: str, *inputs: int) -> int:
        """Add an elementwise operator of the first input's shape."""
        out = self._tensor(*self.shapes[inputs[0]])
        work = self.tensors[out].elements
        self.nodes.append(
            Node("vector", function, f"{function}{out}", function, inputs, (out,), work=work, elementwise=True)
        )
        return out

    def pool(self, x: int) -> int:
        """Add a global mean."""
        out = self._tensor(self.shapes[x][0], 1, 1)
        work = self.tensors[x].elements
        self.nodes.append(Node("vector", "global_pool", f"pool{out}", "GlobalAveragePool", (x,), (out,), work=work))
        return out

    def move(self, *inputs: int) -> int:
        """Add a concatenation by channels."""
        _, height, width = self.shapes[inputs[0]]
        out = self._tensor(sum(self.shapes[x][0] for x in inputs), height, width)
        work = self.tensors[out].elements
        self.nodes.append(Node("vector", "move", f"concat{out}", "Concat", inputs, (out,), work=work))
        return out

    def matmul(self, x: int, y: int) -> int:
        """Add the products, one for each image, of two maps as pixels x channels and channels x pixels."""
        channels, height, width = self.shapes[x]
        m, n = height * width, self.shapes[y][1] * self.shapes[y][2]
        out = self._tensor(n, m, 1)
        geometry = Geometry(1, channels * self.batch, m, 1, n * self.batch, m, 1, groups=self.batch)
        self.nodes.append(Node("array", "", f"matmul{out}", "MatMul", (x, y), (out,), geometry))
        return out

    def workload(self, *outputs: int) -> Workload:
        """Return the workload; by default its output is the last tensor."""
        ends = outputs or (len(self.tensors) - 1,)
        return Workload(tuple(self.tensors), tuple(self.nodes), (0,), ends)


def bottleneck(
    channels: int = 8, pixels: int = 8, *, kernel: int = 3, expand: int = 4, function: str = "relu", se: bool = False
) -> Workload:
    """Return an inverted residual with its addition."""
    sketch = Sketch(channels, pixels, pixels)
    hidden = channels * expand
    x = sketch.vector(function, sketch.conv(0, hidden))
    x = sketch.vector(function, sketch.conv(x, hidden, kernel, groups=hidden))
    if se:
        gate = sketch.vector(function, sketch.conv(sketch.pool(x), channels))
        x = sketch.vector("mul", x, sketch.vector("sigmoid", sketch.conv(gate, hidden)))
    return sketch.workload(sketch.vector("add", sketch.conv(x, channels), 0))


@st.composite
def workloads(draw: st.DrawFn, max_operators: int = 7) -> Workload:
    """Draw a random graph of up to `max_operators` operators, with branches, reused tensors and several outputs."""
    sizes = st.sampled_from([1, 3, 4, 7, 16])
    sketch = Sketch(draw(sizes), draw(sizes), draw(sizes), draw(st.sampled_from([1, 1, 2])))
    for _ in range(draw(st.integers(1, max_operators))):
        x = draw(st.integers(0, len(sketch.tensors) - 1)) if draw(st.booleans()) else len(sketch.tensors) - 1
        kind = draw(st.sampled_from(["conv", "conv", "depthwise", "grouped", "unary", "add", "pool", "move", "matmul"]))
        same_shape = [y for y, shape in enumerate(sketch.shapes) if shape == sketch.shapes[x]]
        channels = sketch.shapes[x][0]
        kernel, stride = draw(st.sampled_from([1, 1, 3])), draw(st.sampled_from([1, 1, 2]))
        if kind == "conv":
            sketch.conv(x, draw(st.sampled_from([1, 4, 9, 24])), kernel, stride)
        elif kind == "depthwise":
            sketch.conv(x, channels, kernel, stride, groups=channels)
        elif kind == "grouped":
            sketch.conv(x, channels, kernel, stride, groups=2 if channels % 2 == 0 else 1)
        elif kind == "unary":
            sketch.vector(draw(st.sampled_from(["relu", "swish"])), x)
        elif kind == "add":
            sketch.vector("add", x, draw(st.sampled_from(same_shape)))
        elif kind == "pool":
            sketch.pool(x)
        elif kind == "move":
            sketch.move(x, draw(st.sampled_from(same_shape)))
        elif sketch.shapes[x][0] * sketch.shapes[x][1] < 200:
            sketch.matmul(x, draw(st.sampled_from(same_shape)))
    last = len(sketch.tensors) - 1
    return sketch.workload(*{draw(st.integers(0, last)), last} if last else (0,))


@st.composite
def settings(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw settings of a unit with enough memory to run the random workloads, but not enough to make it irrelevant."""
    return (
        f"array.rows={draw(st.sampled_from([1, 4, 8, 16]))}",
        f"array.cols={draw(st.sampled_from([1, 4, 8, 16]))}",
        f"array.dataflow={draw(st.sampled_from(['os', 'ws', 'is']))}",
        f"array.timing={draw(st.sampled_from(['strict', 'pipelined']))}",
        f"array.depthwise={draw(st.sampled_from(['dense_padded', 'per_group', 'diagonal', 'vector']))}",
        f"array.row_axis={draw(st.sampled_from(['im2col', 'channels']))}",
        f"memory.sram_bytes={draw(st.sampled_from([4000.0, 9000.0, 30000.0]))}",
        f"memory.weight_buffer_bytes={draw(st.sampled_from([2000.0, 6000.0, 40000.0]))}",
        f"memory.dram_bytes_per_cycle={draw(st.sampled_from([0.5, 4.0, 64.0]))}",
        f"memory.dram_burst_bytes={draw(st.sampled_from([1, 64]))}",
        f"memory.dma_setup_cycles={draw(st.sampled_from([0, 30]))}",
        f"memory.channel_multiple={draw(st.sampled_from([1, 8]))}",
        f"schedule.io_location={draw(st.sampled_from(['dram', 'resident']))}",
    )
