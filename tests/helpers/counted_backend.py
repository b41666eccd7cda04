"""A real device whose worker records its process and each runner that it prepares, so that tests know what a kill interrupted."""

from __future__ import annotations

import os
from functools import cached_property

from donna_hw.devices.backends.base import Backend, Runner
from donna_hw.devices.backends.onnxruntime import OnnxRuntimeBackend
from donna_hw.devices.device import Device
from donna_hw.graph.graph import Graph

NOTES = "TEST_NOTES"  # the environment variable that names the file: the process's number, then a dot for each runner


class NotedBackend(OnnxRuntimeBackend):
    @cached_property
    def _notes(self) -> int:
        file = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{os.getpid()}\n".encode())
        return file

    def prepare(self, graph: Graph) -> Runner:
        os.write(self._notes, b".")
        return super().prepare(graph)


class NotedDevice(Device):
    def backend_class(self) -> type[Backend]:
        return NotedBackend
