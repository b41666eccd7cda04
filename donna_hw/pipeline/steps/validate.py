"""What can be checked of a run before hours of training."""

from __future__ import annotations

from donna_hw.devices.backends.base import UNITS
from donna_hw.devices.device import Device
from donna_hw.errors import UnknownNameError
from donna_hw.pipeline.run import Run
from donna_hw.pipeline.steps.distill import validate_images
from donna_hw.pipeline.steps.train import validate_trainings


def validate_run(run: Run) -> None:
    """Raise, before anything is trained, what the last steps would raise: a device that cannot be used, an unknown cost.

    Raises:
        ConfigError: A setting that cannot work with the others.
        UnavailableError: A device or the cluster cannot be used.
        UnknownNameError: A cost of the search that the recipe neither measures nor counts.
    """
    validate_images(run)
    validate_trainings(run)
    if run.cluster is not None:
        run.measurement_workers(run.device, run.protocol)
    units = {name: UNITS[Device.load(name).backend().quantity] for name in (run.device.name, *run.recipe.counters)}
    for name in run.recipe.cost_devices:
        if name not in units:
            raise UnknownNameError("unknown cost in search.costs", got=name, choices=list(units))
    run.constraint_bounds({name: units[name] for name in run.recipe.cost_devices})
