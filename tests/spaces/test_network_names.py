"""The name of a network: its labels joined by a slash, there and back."""

from __future__ import annotations

import pytest

from donna_hw.errors import ConfigError, UnknownNameError
from donna_hw.spaces import load_space


@pytest.mark.parametrize("name", ["small_8px", "ofa_mobilenetv3", "fbnet_cifar100"])
def test_a_name_reads_back_as_the_network(name: str) -> None:
    space = load_space(name)
    for row in space.random_rows(20, 0):
        architecture = space.architecture(row)
        text = space.network_name(architecture)
        assert text.split("/") == list(space.labels(architecture).values())
        assert space.architecture_from_name(text) == architecture


def test_a_name_of_another_number_of_labels_is_refused_with_an_example() -> None:
    space = load_space("small_8px")
    with pytest.raises(
        ConfigError, match="a network of small_8px has 3 labels, joined by /; got 'a/b'; such as k5-e4-d2-swish_se/"
    ):
        space.architecture_from_name("a/b")


def test_an_unknown_label_is_named_with_its_stage() -> None:
    space = load_space("small_8px")
    first, second, _ = space.network_name(space.reference).split("/")
    with pytest.raises(UnknownNameError, match=r"^stage3: .*'wide'; expected k3-e1-d1-relu, "):
        space.architecture_from_name(f"{first}/{second}/wide")
