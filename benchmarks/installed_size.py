"""What an installation of the core takes on the disk: donna_hw itself, torch with what it needs, and the other dependencies.

Run it by the Python whose packages are meant, such as a fresh environment with `pip install donna-hw` in it; extras are not counted.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MB = 1e6


def collect_sizes(name: str, sizes: dict[str, float]) -> dict[str, float]:
    """Add the bytes of a package and of what it needs without extras to `sizes`; what is not installed counts nothing."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in sizes:
        return sizes
    try:
        package = distribution(key)
    except PackageNotFoundError:  # of another system or Python
        return sizes
    paths = {Path(str(path.locate())) for path in package.files or ()}
    sizes[key] = float(sum(path.stat().st_size for path in paths if path.is_file()))
    for line in package.requires or ():
        wanted = re.match(r"[\w.-]+", line)
        if wanted is not None and "extra ==" not in line:
            collect_sizes(wanted[0], sizes)
    return sizes


if __name__ == "__main__":
    whole, torch = collect_sizes("donna-hw", {}), collect_sizes("torch", {})
    own = whole["donna-hw"]
    print(f"donna-hw itself: {own / MB:.1f} MB")
    print(f"torch and what it needs: {sum(torch.values()) / MB:.0f} MB, torch alone {torch['torch'] / MB:.0f} MB")
    rest = {name: size for name, size in whole.items() if name not in torch and name != "donna-hw"}
    print(f"{len(rest)} other packages: {sum(rest.values()) / MB:.0f} MB, the largest of them")
    for name, size in sorted(rest.items(), key=lambda one: -one[1])[:8]:
        print(f"  {name} {size / MB:.0f} MB")
    print(f"all: {sum(whole.values()) / MB:.0f} MB")
