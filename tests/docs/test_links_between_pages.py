"""A link is written as the repository has it, and becomes the link between two pages of the site."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
from paths import ROOT


@pytest.fixture(scope="module")
def rewrite_links() -> Callable[[str, str], str]:
    spec = importlib.util.spec_from_file_location("repository", ROOT / "docs" / "hooks" / "repository.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function: Callable[[str, str], str] = module.rewrite_links
    return function


@pytest.mark.parametrize(
    ("page", "written", "link"),
    [
        ("index.md", "docs/costs.md", "costs.md"),
        ("index.md", "docs/images/report.png", "images/report.png"),
        ("index.md", "recipes/README.md", "recipes/README.md"),
        ("costs.md", "importing.md#files", "importing.md#files"),
        ("spaces.md", "../CONTRIBUTING.md", "CONTRIBUTING.md"),
        ("guides/phone.md", "../../README.md", "../index.md"),
        ("results/README.md", "../images/fashion_mnist.svg", "../images/fashion_mnist.svg"),
        ("recipes/README.md", "../docs/training.md", "../training.md"),
        ("recipes/README.md", "../latency_tables/README.md", "../latency_tables/README.md"),
        ("index.md", "https://arxiv.org/abs/2012.08859", "https://arxiv.org/abs/2012.08859"),
        ("index.md", "#devices", "#devices"),
    ],
)
def test_a_link_is_rewritten(rewrite_links: Callable[[str, str], str], page: str, written: str, link: str) -> None:
    assert rewrite_links(f"see [it]({written}).", page) == f"see [it]({link})."


def test_a_file_that_is_no_page_keeps_its_link_which_the_strict_build_refuses(
    rewrite_links: Callable[[str, str], str],
) -> None:
    assert rewrite_links("[it](examples/custom_model.py)", "index.md") == "[it](examples/custom_model.py)"
