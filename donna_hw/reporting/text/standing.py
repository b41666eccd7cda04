"""What is printed of a front that was verified."""

from __future__ import annotations

from donna_hw.reporting.text.summaries import table
from donna_hw.search.verification_loop import Standing


def summary_of_standing(standing: Standing) -> str:
    """Return one line a round, and whether the front stands."""
    header = ["round", "measured", "error before %", "within 90 %", "front kept", "beaten", "stands"]
    rows = [
        [
            number,
            one.measured,
            f"{one.mape_percent:.2f}",
            f"{100 * one.within:.0f} %",
            f"{100 * one.kept:.0f} %",
            one.beaten,
            "yes" if one.stands else "no",
        ]
        for number, one in enumerate(standing.history, start=1)
    ]
    last = standing.history[-1]
    if standing.stands:
        end = f"the front stands after {len(rows)} rounds, on {len(standing.rows)} networks measured whole"
    else:
        reasons = [
            f"its cost could not be fitted: {last.refit}" if last.refit else "",
            f"the next front beats {last.beaten} of its networks" if last.beaten else "",
            f"{100 * (1 - last.within):.0f} % of those measured lie outside their 90 % intervals",
            f"its predictions deviate by up to {last.deviation_percent:.2g} %",
        ]
        end = (
            f"the front does not stand after {len(rows)} rounds: {'; '.join(filter(None, reasons))}; more with --rounds"
        )
    return f"{table(header, rows)}\n{end}"
