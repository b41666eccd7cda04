"""Figures say what their data say, nothing of them is cut, and their files are the same each time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from donna_hw.errors import FileFormatError
from donna_hw.reporting.figures.detection import aggregate_seeds, draw_detection, validate_detectors
from donna_hw.reporting.figures.finetuning import Curve, draw_finetuning, epochs_to
from donna_hw.reporting.figures.pareto import ParetoData, draw_pareto
from donna_hw.reporting.figures.predictor import PredictionGroup, draw_predictor
from donna_hw.reporting.figures.random_search import Level, RandomSearchData, draw_random_search
from donna_hw.reporting.figures.style import cost_label, save_figure

RNG = np.random.default_rng(0)


def points(count: int) -> pd.DataFrame:
    return pd.DataFrame({"cost": RNG.uniform(1e-3, 5e-3, count), "percent": RNG.uniform(70, 80, count)})


def pareto(baselines: int = 0) -> Figure:
    verified = pd.DataFrame(
        {
            "role": ["front", "random", "scaled"],
            "predicted_cost": [1e-3, 2e-3, 3e-3],
            "predicted_percent": [75.0, 76.0, 77.0],
            "cost": [1.1e-3, 2.1e-3, 3.1e-3],
            "percent": [74.0, 75.0, 76.0],
        }
    )
    known = points(baselines).assign(name=[f"network_{number}" for number in range(baselines)])
    known.loc[known.index[-1:], "cost"] = 1.0
    return draw_pareto(ParetoData("v100", "s", points(50), points(9), points(9), verified, (5e-3, 81.0), known))


def finetuning() -> Figure:
    curves = [Curve("a", (80.0, 90.0, 92.0)), Curve("b", (70.0, 84.0, 90.0))]
    return draw_finetuning([*curves, Curve("a", (20.0, 60.0, 88.0), scratch=True)], 95.0)


def predictor() -> Figure:
    groups = [PredictionGroup(f"group {n}", RNG.uniform(70, 80, 9), RNG.uniform(70, 80, 9)) for n in range(5)]
    return draw_predictor(groups)


def random_search() -> Figure:
    levels = [Level(0.01 * n, RNG.uniform(70, 80, 9), 81.0) for n in range(1, 5)]
    return draw_random_search(RandomSearchData("energy@tensor_unit", "J", 0.02, 2500, levels))


def detectors(seeds: int = 2) -> pd.DataFrame:
    lines = [
        {
            "network": f"n{n}",
            "role": "front",
            "seed": s,
            "start": start,
            "top1_percent": 80 + n + s,
            "map_percent": 30 + n,
        }
        for n in range(4)
        for start in ("pretrained", "scratch")
        for s in range(seeds)
    ]
    return pd.DataFrame(lines)


FIGURES = {
    "pareto": pareto,
    "with baselines": lambda: pareto(6),
    "finetuning": finetuning,
    "predictor": predictor,
    "random search": random_search,
    "detection": lambda: draw_detection(detectors()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut(name: str) -> None:
    figure = FIGURES[name]()
    figure.draw_without_rendering()
    width, height = figure.get_size_inches() * figure.dpi
    (axes,) = figure.axes
    texts = [axes.xaxis.label, axes.yaxis.label, *axes.texts]
    legends = [*figure.legends, *filter(None, [axes.get_legend()])]
    assert legends
    for part in (*texts, *(text for legend in legends for text in legend.get_texts())):
        extent = part.get_window_extent()
        assert extent.x0 >= 0, part.get_text()
        assert extent.x1 <= width, part.get_text()
        assert extent.y0 >= 0, part.get_text()
        assert extent.y1 <= height, part.get_text()


def test_the_same_figure_is_the_same_bytes_with_its_text_as_text(tmp_path: Path) -> None:
    figures = [FIGURES["predictor"](), FIGURES["with baselines"]()]
    for figure in figures:
        one, other = (
            [path.read_bytes() for path in save_figure(figure, tmp_path / place / "figure")] for place in ("a", "b")
        )
        assert one == other
        text = one[0].decode()
        words = "".join(ElementTree.fromstring(text).itertext())  # noqa: S314  our own drawing
        assert "top-1" in words
        assert "<dc:date>" not in text
        assert one[1].startswith(b"\x89PNG")


def test_kendalls_tau_is_scipys_and_too_few_networks_have_none() -> None:
    predicted, measured = RNG.uniform(70, 80, 30), RNG.uniform(70, 80, 30)
    label = PredictionGroup("test", predicted, measured).label
    assert label == (
        f"test (30): KT {kendalltau(predicted, measured).statistic:.2f}, MSE {np.mean((predicted - measured) ** 2):.2f}"
    )
    assert PredictionGroup("two", np.array([70.0, 71.0]), np.array([70.0, 73.0])).label == "two (2): MSE 2.00"


def test_the_predictors_points_are_drawn_as_they_are() -> None:
    one = PredictionGroup("test", np.array([70.0, 71.0, 72.0]), np.array([70.5, 71.5, 71.0]))
    (axes,) = draw_predictor([one]).axes
    np.testing.assert_array_equal(
        axes.collections[0].get_offsets(), np.stack([one.predicted_percent, one.measured_percent], axis=1)
    )
    assert axes.get_xlim() == axes.get_ylim()


def test_a_box_is_of_its_levels_networks() -> None:
    values = np.array([70.0, 71.0, 72.0, 75.0, 79.0])
    (axes,) = draw_random_search(RandomSearchData("macs", "MAC", 0.05, 100, [Level(4e8, values, 80.0)])).axes
    drawn = {float(y) for line in axes.lines for y in line.get_ydata()}
    assert drawn == {70.0, 71.0, 72.0, 75.0, 79.0}, "whiskers end at the extremes, the box at the quartiles"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["400 MMAC\n5 networks"]
    assert axes.get_xlabel() == "multiply-accumulates, within 5 %"
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), [[1, 80.0]])


def test_finetuning_says_when_it_is_as_good_as_from_scratch() -> None:
    labels = [text.get_text() for text in finetuning().axes[0].get_legend().get_texts()]
    assert "as good after 3 epochs" in labels, "the mean is 75, 87 and 91; from scratch ends at 88"
    assert "from the Block Library, mean of 2" in labels
    assert epochs_to(np.array([75.0, 87.0]), 88.0) is None
    alone = draw_finetuning([Curve("a", (80.0, 90.0))], 95.0)
    assert not any("scratch" in text.get_text() for text in alone.axes[0].get_legend().get_texts())


def test_baselines_far_beyond_are_counted_and_not_drawn() -> None:
    labels = [text.get_text() for text in pareto(6).legends[0].get_texts()]
    assert "published (1 further right):" in labels
    assert "network_0" in labels
    assert "network_5" not in labels
    assert not any("published" in label for label in [text.get_text() for text in pareto().legends[0].get_texts()])


def test_detectors_are_means_over_seeds_with_their_deviation() -> None:
    found = aggregate_seeds(detectors(seeds=3))
    assert len(found) == 8
    assert (found[0].top1_percent, found[0].top1_std_percent, found[0].seeds) == (81, 1, 3)
    assert np.isnan(aggregate_seeds(detectors(seeds=1))[0].map_std_percent)
    labels = [text.get_text() for text in draw_detection(detectors()).legends[0].get_texts()]
    assert labels == [
        "front, pretrained",
        "pretrained: KT 1.00 of 4",
        "front, from scratch",
        "from scratch: KT 1.00 of 4",
    ]


def test_a_detector_that_is_none_is_named_with_its_line() -> None:
    path = Path("detectors.csv")
    for column, value, says in (
        ("start", "random", "unknown start; got 'random'; expected pretrained or scratch"),
        ("map_percent", 140, r"line 3: map_percent must be within 0\.\.100"),
        ("top1_percent", "much", "line 3: top1_percent"),
    ):
        frame = detectors().astype(object)
        frame.loc[1, column] = value
        with pytest.raises(FileFormatError, match=says):
            validate_detectors(frame, path)
    with pytest.raises(FileFormatError, match="no detector in the file"):
        validate_detectors(detectors().iloc[:0], path)


def test_costs_have_their_quantity_and_unit() -> None:
    assert cost_label("onnxruntime_cpu", "s", "us") == "latency on onnxruntime_cpu [us]"
    assert cost_label("energy@tensor_unit", "J", "mJ") == "energy on tensor_unit [mJ]"
    assert cost_label("macs", "MAC", "MMAC") == "multiply-accumulates [MMAC]"
