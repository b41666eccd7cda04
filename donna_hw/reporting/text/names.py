"""Names that others chose, such as a model's: made fit to print."""

from __future__ import annotations

CUT = ".."


def shortened(name: str, width: int) -> str:
    """Return a name in at most `width` characters, cut in the middle; what cannot be printed becomes `?`.

    Most of what is kept is its end: names of one network begin alike.
    """
    plain = "".join(sign if sign.isprintable() else "?" for sign in name)
    if len(plain) <= width:
        return plain
    kept = max(width - len(CUT), 0)
    head = min(kept // 4, 6)
    return (plain[:head] + CUT + plain[len(plain) - (kept - head) :])[:width]
