"""The plot's library, plotly.js: the copy that comes with the Python package is written into the page, which then needs no network."""

from __future__ import annotations

from importlib.util import find_spec

CURE = "pip install 'donna-hw[report]'"


def plot_library() -> str:
    """Return plotly.js as text, its licence at its head; empty where the package is not installed."""
    if find_spec("plotly") is None:
        return ""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
