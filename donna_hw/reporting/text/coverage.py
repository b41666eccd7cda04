"""What `donna-hw table check` prints: whether a table covers a space, and every row that it lacks."""

from __future__ import annotations

from collections import Counter

from donna_hw.spaces.space import Space
from donna_hw.tables.latency_table import LatencyTable


def text_of_coverage(table: LatencyTable, space: Space) -> str:
    """Return one line if the table covers the space, and what is to be known before a search; else a line for each row that it lacks."""
    found, info = table.coverage(space), table.info
    lines = [f"missing: {' '.join(key)}" for key in found.missing]
    lines += [f"other layers: {' '.join(key)}: {kept}, now {now}" for key, kept, now in found.changed]
    if found.whole:
        lines.append(
            f"{table.path} covers {space.name}: all {found.wanted} blocks and fixed parts have a row, {info.origin}"
        )
    else:
        lines.append(
            f"{table.path} does not cover {space.name}: of {found.wanted} blocks and fixed parts {len(found.missing)} are missing and "
            f"{len(found.changed)} have a row of other layers; donna-hw profile {space.name} --device {info.device} fills them"
        )
    verdicts = Counter(table.frame["verdict"]) if "verdict" in table.frame else Counter()
    learned = verdicts["learned"]
    doubted = verdicts.total() - verdicts["trusted"] - learned
    if learned:
        lines.append(f"{learned} of its rows are learned: never measured, foretold from other blocks")
    if doubted:
        lines.append(f"{doubted} of its rows are not trusted: donna-hw table show {table.path} lists them")
    return "\n".join(lines)
