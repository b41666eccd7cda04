"""What `import donna_hw` promises."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

import donna_hw


@pytest.mark.parametrize("name", donna_hw.__all__)
def test_every_public_name_resolves_to_what_its_home_calls_so(name: str) -> None:
    found = getattr(donna_hw, name)
    assert found.__name__ == name
    assert found.__module__.startswith("donna_hw.")


@pytest.mark.parametrize("name", donna_hw.__all__)
def test_no_submodule_hides_a_public_name(name: str) -> None:
    # Importing the submodule sets it as an attribute, and the name would mean another thing from then on.
    assert find_spec(f"donna_hw.{name}") is None


def test_an_unknown_name_is_an_attribute_error_that_lists_the_known_ones() -> None:
    with pytest.raises(AttributeError, match=r"'Spaec'.*Space"):
        donna_hw.Spaec  # noqa: B018


def test_the_names_are_listed() -> None:
    assert dir(donna_hw) == donna_hw.__all__
