"""The page of a transfer to detection in Markdown (paper, appendix B, figure 12); every number is computed from the run's files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from scipy.stats import t

from donna_hw._core.bootstrap import BootstrapInterval, bootstrap_counts, kendall_taus
from donna_hw._core.toml_files import read_toml
from donna_hw.errors import InsufficientDataError
from donna_hw.experiments.detection.recipe import ScenesConfig
from donna_hw.experiments.detection.run import STARTS, DetectionRun
from donna_hw.experiments.predictor_study.markdown import format_interval
from donna_hw.measurement.environment import cpu_model

Array = np.ndarray
MIN_NETWORKS = 3  # of a correlation


@dataclass(frozen=True)
class TransferResult:
    """The correlation of the accuracies of networks with the average precision of their detectors, which all start the same way.

    kendall_tau, pearson: of top-1 and precision; macs_tau: of MACs and precision. slope: points of precision for a point of top-1.
    """

    networks: int
    mean_percent: float
    kendall_tau: BootstrapInterval
    pearson: BootstrapInterval
    macs_tau: BootstrapInterval
    slope: BootstrapInterval


def read_detectors(run: DetectionRun) -> pd.DataFrame:
    """Return the run's journal, a line a detector; raises `InsufficientDataError` for fewer than three networks."""
    frame = pd.DataFrame(run.journal.records())
    if not len(frame) or frame["network"].nunique() < MIN_NETWORKS:
        raise InsufficientDataError(
            f"a correlation needs detectors of {MIN_NETWORKS} networks", got=len(frame), hint="train more"
        )
    numbers = ["seed", "macs", "top1_percent", "map_percent", "ap50_percent", "ap75_percent", "train_s"]
    return frame.assign(**{name: pd.to_numeric(frame[name]) for name in numbers})


def correlate_accuracy(top1: Array, precision: Array, macs: Array) -> TransferResult:
    """Return the correlation of top-1 and of MACs with precision, with intervals by bootstrap over networks.

    Args:
        top1: Top-1 of the backbones in per cent, float [n].
        precision: Average precision of their detectors in per cent, float [n].
        macs: Multiply-accumulates of the backbones, float [n].
    """
    weights = bootstrap_counts(len(top1))
    r, slope = _pearson_and_slope(top1, precision, weights)
    return TransferResult(
        len(top1),
        float(precision.mean()),
        BootstrapInterval.from_draws(kendall_taus(top1, precision, weights)),
        BootstrapInterval.from_draws(r),
        BootstrapInterval.from_draws(kendall_taus(macs, precision, weights)),
        BootstrapInterval.from_draws(slope),
    )


def pretraining_gain(frame: pd.DataFrame) -> BootstrapInterval | None:
    """Return the points of mAP by which pretrained detectors are ahead of those from scratch, with Student's 95 % interval over networks.

    None where fewer than three networks were trained both ways.
    """
    both = frame.pivot_table(index="network", columns="start", values="map_percent").dropna()
    if list(both.columns) != list(STARTS) or len(both) < MIN_NETWORKS:
        return None
    gain = (both["pretrained"] - both["scratch"]).to_numpy()
    half = float(t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / np.sqrt(len(gain)))
    return BootstrapInterval(float(gain.mean()), float(gain.mean()) - half, float(gain.mean()) + half)


def detection_markdown(run: DetectionRun) -> str:
    """Return the page of a run whose detectors are trained."""
    frame = read_detectors(run)
    results = {
        str(start): correlate_accuracy(
            *(detectors[name].to_numpy(float) for name in ("top1_percent", "map_percent", "macs"))
        )
        for start, detectors in frame.groupby("start")
    }
    parts = [
        f"# {run.recipe.title}",
        "\n".join(_settings(run, frame)),
        "\n".join(_correlations(results, pretraining_gain(frame))),
        "\n".join(_networks(frame)),
        "\n".join(_classes(run, frame)),
    ]
    return "\n\n".join(parts) + "\n"


def _pearson_and_slope(x: Array, y: Array, weights: Array) -> tuple[Array, Array]:
    """Return Pearson's r and the slope of y over x in each resample, float [resamples] each; NaN where one is constant."""
    total = weights.sum(axis=1)
    dx, dy = (values - (weights @ values / total)[:, None] for values in (x, y))
    covariance, x_variance, y_variance = (
        (weights * product).sum(axis=1) for product in (dx * dy, np.square(dx), np.square(dy))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(covariance / np.sqrt(x_variance * y_variance)), np.asarray(covariance / x_variance)


def _settings(run: DetectionRun, frame: pd.DataFrame) -> list[str]:
    recipe, data, head, training = run.recipe, run.recipe.data, run.recipe.detector, run.recipe.training
    if isinstance(data, ScenesConfig):
        images = (
            f"{data.train} scenes to train on and {data.test} to test on, {data.pixels}x{data.pixels} pixels, of {data.garments[0]} to "
            f"{data.garments[1]} garments of Fashion-MNIST each, scaled to {data.sizes[0]} to {data.sizes[1]} pixels; no garment is in both"
        )
    else:
        images = f"{data.train} to train on, {data.test} to test on, shorter sides of {data.min_size} pixels"
    reference = float(read_toml(run.base / "reference" / "reference.toml")["top1_percent"])
    where = "a CUDA GPU" if run.device == "cuda" else f"{recipe.processes} process(es) of one thread, no GPU"
    return [
        f"- Command: `{run.command}`; seed {recipe.seed}; {date.today().isoformat()}.",
        f"- Machine: {cpu_model()}; trained on {where}; {frame['train_s'].sum():.0f} s in all.",
        f'- Backbones: {frame["network"].nunique()} networks of "{run.base_recipe.title}", space `{run.base_recipe.space}`, whose '
        f"reference has {reference:.2f} %: the verified networks of its front, and finetuned ones that spread the accuracies.",
        f"- Images: {images}.",
        f"- Head: RetinaNet's on maps of every {' and '.join(f'{reduction}th' for reduction in head.reductions)} pixel, "
        f"{head.extra_levels} smaller; "
        f"{head.channels} channels.",
        f"- Training: {training.epochs} epochs by Adam, batch {training.batch}, learning rate {training.learning_rate:g}; "
        + (
            "the backbones are frozen, and only the heads are trained."
            if training.frozen
            else "the same for pretrained backbones and those from scratch, whose heads start from the same weights."
        ),
        "- mAP: COCO's average precision by pycocotools, the mean over intersections over union of 0.50 to 0.95, in per cent.",
    ]


def _correlations(results: dict[str, TransferResult], gain: BootstrapInterval | None) -> list[str]:
    lines = [
        "## Does accuracy transfer?",
        "",
        "Intervals of 95 % by bootstrap over networks.",
        "",
        "| backbones | networks | mAP, mean | Kendall tau of top-1 and mAP | Pearson's r | points of mAP a point of top-1 "
        "| Kendall tau of MACs and mAP |",
        "|---|---|---|---|---|---|---|",
    ]
    for start in STARTS:
        if start in results:
            result = results[start]
            lines.append(
                f"| {_start_label(start)} | {result.networks} | {result.mean_percent:.2f} | {format_interval(result.kendall_tau)} "
                f"| {format_interval(result.pearson)} | {format_interval(result.slope)} | {format_interval(result.macs_tau)} |"
            )
    if gain is not None:
        lines += [
            "",
            f"Pretrained minus from scratch, the same network: {gain.value:+.2f} points of mAP (Student's 95 % interval over networks "
            f"{gain.low:+.2f} to {gain.high:+.2f}).",
        ]
    return lines


def _networks(frame: pd.DataFrame) -> list[str]:
    lines = [
        "## Networks",
        "",
        "| role | top-1 % | MMAC | mAP pretrained | at 0.50, 0.75 | mAP from scratch | at 0.50, 0.75 | network |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_start = {(row["network"], row["start"]): row for row in frame.to_dict("records")}
    networks = frame.drop_duplicates("network").sort_values("top1_percent", ascending=False)
    for row in networks.to_dict("records"):
        cells = []
        for start in STARTS:
            detector = by_start.get((row["network"], start))
            cells += (
                ["-", "-"]
                if detector is None
                else [
                    f"{detector['map_percent']:.2f}",
                    f"{detector['ap50_percent']:.2f}, {detector['ap75_percent']:.2f}",
                ]
            )
        lines.append(
            f"| {row['role']} | {row['top1_percent']:.2f} | {row['macs'] / 1e6:.2f} | {' | '.join(cells)} | `{row['network']}` |"
        )
    return lines


def _classes(run: DetectionRun, frame: pd.DataFrame) -> list[str]:
    train, _, _ = run.data()
    names = train.read().categories
    means = {  # NaN for a class of which no test image has a box
        start: np.array([cells.split() for cells in detectors["by_class"]], dtype=float).mean(axis=0)
        for start, detectors in frame.groupby("start")
    }
    starts = [start for start in STARTS if start in means]
    lines = [
        "## Classes, the mean over networks",
        "",
        "| class | " + " | ".join(f"mAP {_start_label(start)}" for start in starts) + " |",
        "|---" * (1 + len(starts)) + "|",
    ]
    for number, name in enumerate(names):
        lines.append(f"| {name} | " + " | ".join(_format_percent(means[start][number]) for start in starts) + " |")
    return lines


def _format_percent(percent: float) -> str:
    return f"{percent:.2f}" if np.isfinite(percent) else "-"


def _start_label(start: str) -> str:
    return {"pretrained": "pretrained", "scratch": "from scratch"}[start]
