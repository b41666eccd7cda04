"""The steps of a run, a file each: functions that take a `Run` and write plain files into its folder.

Each can be repeated: it skips what is done, so one that was stopped resumes. `pipeline.run_pipeline` takes them in order.
"""

from donna_hw.pipeline.steps.distill import distill_blocks
from donna_hw.pipeline.steps.extend import copy_base_run
from donna_hw.pipeline.steps.finetune import delete_distill_batches, finetune_networks
from donna_hw.pipeline.steps.fit import fit_accuracy_predictor
from donna_hw.pipeline.steps.profile import count_blocks, profile_blocks
from donna_hw.pipeline.steps.quantize import quantize_test_networks, train_networks
from donna_hw.pipeline.steps.reference import train_reference
from donna_hw.pipeline.steps.search import search_front
from donna_hw.pipeline.steps.validate import validate_run
from donna_hw.pipeline.steps.verify import evaluate_latency, evaluate_predictor, verify_front

__all__ = [
    "copy_base_run",
    "count_blocks",
    "delete_distill_batches",
    "distill_blocks",
    "evaluate_latency",
    "evaluate_predictor",
    "finetune_networks",
    "fit_accuracy_predictor",
    "profile_blocks",
    "quantize_test_networks",
    "search_front",
    "train_networks",
    "train_reference",
    "validate_run",
    "verify_front",
]
