"""Drawn networks: heights, colours, numbers and signs are those of their boxes, and nothing is cut."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from donna_hw.errors import FileFormatError
from donna_hw.reporting.figures.architectures import DrawnNetwork, draw_architectures, load_drawn_networks
from donna_hw.reporting.figures.box_glyphs import KERNELS, arrow_labels, box_caption, dash_lengths
from donna_hw.reporting.figures.boxes import Box, build_boxes
from donna_hw.spaces import load_space


def drawn(*names: str, networks: int = 2) -> tuple[Figure, list[DrawnNetwork]]:
    found = []
    for name in names:
        space = load_space(name)
        rows = space.random_rows(networks - 1, 4)
        chosen = [space.reference, *(space.architecture(row) for row in rows)]
        found += [DrawnNetwork(f"{name}, 97.2 % predicted", build_boxes(space, network)) for network in chosen]
    return draw_architectures(found), found


def patches(figure: Figure) -> dict[tuple[int, int], Rectangle]:
    found = {}
    for patch in figure.axes[0].patches:
        gid = patch.get_gid()
        if gid is not None:
            assert isinstance(patch, Rectangle)
            _, network, place = gid.split("-")
            found[int(network), int(place)] = patch
    return found


SPACES = ("donna", "efficientnet_b0", "ofa_mobilenetv3", "fbnet", "small_8px@precision", "donna_shift", "vit_b16")


@pytest.mark.parametrize("name", SPACES)
def test_heights_are_proportional_to_channels_on_one_scale_and_nothing_is_cut(name: str) -> None:
    figure, networks = drawn(name)
    found = patches(figure)
    every = {(n, m): box for n, network in enumerate(networks) for m, box in enumerate(network.boxes)}
    assert found.keys() == every.keys()
    scales = {round(found[key].get_height() / box.channels, 9) for key, box in every.items() if box.channels}
    assert len(scales) == 1
    width, height = figure.get_size_inches() * figure.dpi
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0, text.get_text()
        assert extent.x1 <= width, text.get_text()
        assert extent.y0 >= 0, text.get_text()
        assert extent.y1 <= height, text.get_text()


def test_no_words_cover_others() -> None:
    figure, _ = drawn("donna_shift", "mobilenetv3_1.0")
    extents = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for number, one in enumerate(extents):
        for other in extents[number + 1 :]:
            wide, high = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
            assert wide < 1 or high < 1


def test_every_box_has_its_kernels_colour_and_number_and_the_legend_has_them_too() -> None:
    figure, networks = drawn("donna")
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    for (n, m), patch in patches(figure).items():
        kernel = networks[n].boxes[m].kernel
        assert kernel is not None
        assert patch.get_facecolor()[:3] == pytest.approx(_rgb(KERNELS[kernel][0]))
        middle = patch.get_x() + patch.get_width() / 2, patch.get_y() + patch.get_height() / 2
        assert texts[middle] == str(kernel)
    words = set(texts.values())
    used = {box.kernel for network in networks for box in network.boxes}
    assert {f"kernel {kernel}" for kernel in used} <= words
    assert {"squeeze-and-excite", "Swish", "line under a box: grouped convolution"} <= words


def test_kernels_differ_in_lightness_too() -> None:
    light = sorted(
        sum(w * c for w, c in zip((0.21, 0.72, 0.07), _rgb(fill), strict=True)) for fill, _ in KERNELS.values()
    )
    assert all(b - a > 0.15 for a, b in pairwise(light))


@pytest.mark.parametrize(
    ("expand", "dashes"),
    [(None, []), (1.0, [1]), (6, [1] * 6), (200 / 196, [1]), (1.5, [1, 0.5]), (0.5, [0.5]), (5.97, [1] * 6)],
)
def test_dashed_lines_count_the_expansion(expand: float | None, dashes: list[float]) -> None:
    assert dash_lengths(expand) == pytest.approx(dashes)


def test_as_many_dashed_lines_arrows_and_underlines_are_drawn_as_boxes_say() -> None:
    box = Box("s", "inverted_residual", 3, 16, 3.5, 1, grouped=True, se=True, swish=True, activation="swish")
    plain = Box("s", "inverted_residual", 3, 16, 1.0, 1, grouped=False, se=False, swish=False, activation="relu")
    few, many = (draw_architectures([DrawnNetwork("one", network)]).axes[0] for network in ((plain,), (plain, box)))
    # beside the new box's own: the legend has a sample of the underline now, and of both arrows
    assert len(many.lines) - len(few.lines) == 4 + 1 + 1
    signs = [text.get_text() for text in many.texts]
    assert signs.count("SE") == signs.count("Sw") == 2
    assert "SE" not in [text.get_text() for text in few.texts]


def test_signs_and_words_are_only_of_what_is_known() -> None:
    assert arrow_labels(Box("s", "other", label="own")) == []
    assert box_caption(Box("s", "other", int8=True, label="own")) == "int8, own"
    assert arrow_labels(Box("s", "conv", se=False, activation="hard_swish")) == ["HS"]


def test_networks_of_a_front_are_spread_over_its_cost_and_said_in_their_units(tmp_path: Path) -> None:
    space, path = load_space("small_8px"), tmp_path / "front.csv"
    lines = ["stage1,stage2,stage3,predicted_top1_percent,macs_mac,cpu_s,cpu_std_s"]
    for number in range(9):
        labels = ",".join(space.labels(space.architecture(space.random_rows(9, 0)[number])).values())
        lines.append(f"{labels},{90 + number},{1000 * 2**number},{1e-5 * 2**number},1e-7")
    path.write_text("\n".join(lines) + "\n")
    found = load_drawn_networks(space, path, 1)
    assert [one.title for one in found] == ["(a) 94 % predicted, 16 kMACs, 160 us on cpu"]
    assert found[0].boxes == build_boxes(space, space.architecture(space.random_rows(9, 0)[4]))
    assert len(load_drawn_networks(space, path, None)) == len(load_drawn_networks(space, path, 99)) == 9
    path.write_text(lines[0] + "\n")
    with pytest.raises(FileFormatError, match="no network in the file"):
        load_drawn_networks(space, path, 3)


def _rgb(color: str) -> tuple[float, ...]:
    return tuple(int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
