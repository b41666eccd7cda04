"""Where the checkout lies, for tests that read its files."""

from __future__ import annotations

from pathlib import Path

import donna_hw

ROOT = Path(donna_hw.__file__).parents[1]
HELPERS = Path(__file__).parent
