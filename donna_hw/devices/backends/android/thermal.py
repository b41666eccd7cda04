"""Cooling down: for a fixed time, as the paper does, or until the phone is as cool as it was at the start."""

from __future__ import annotations

from dataclasses import dataclass

POLL_S = 5.0


@dataclass
class CoolDownPolicy:
    """Decides how long to wait until a phone is cool.

    Attributes:
        start_c: Temperature before the first block, in degrees Celsius.
        within_c: How much above it is cool enough, in degrees.
        limit_s: The longest wait, in seconds.
        timed_out: Whether the last wait ended at `limit_s` with the phone still warm, which marks the next row as throttled.
    """

    start_c: float
    within_c: float
    limit_s: float
    timed_out: bool = False

    def wait_s(self, now_c: float, waited_s: float) -> float:
        """Return how many seconds to wait before the next check; 0 when the phone is cool, or the limit is reached."""
        is_warm = now_c > self.start_c + self.within_c
        self.timed_out = is_warm and waited_s >= self.limit_s
        if not is_warm or self.timed_out:
            return 0.0
        return min(POLL_S, self.limit_s - waited_s)
