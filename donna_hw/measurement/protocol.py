"""Protocols: how often a block is run, in what order, and which statistic stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from donna_hw.errors import BadSetting, UnknownName

STATISTICS = ("median", "mean", "min")


@dataclass(frozen=True)
class Protocol:
    """A measuring protocol, exact enough to be repeated.

    rounds: visits to each block, every round in a new random order. warmup: runs dropped at each visit; samples: runs kept.
    sentinel_samples: runs of the sentinel block before and after each visit; 0 for none. The sentinel is one fixed block whose
    speed shows how fast the machine is just now.
    statistic: which of `STATISTICS` stands for the block. cool_down_s: pause after each visit. batch: images a run.
    source: where the protocol comes from.
    """

    name: str
    rounds: int
    warmup: int
    samples: int
    statistic: str
    batch: int = 1
    sentinel_samples: int = 0
    cool_down_s: float = 0.0
    source: str = "ours"

    def __post_init__(self) -> None:
        for field, low in (("rounds", 1), ("warmup", 0), ("samples", 1), ("batch", 1), ("sentinel_samples", 0)):
            if getattr(self, field) < low:
                raise BadSetting(f"protocol {self.name}: {field} must be {low} or more", found=getattr(self, field))
        if not 0 <= self.cool_down_s < inf:
            raise BadSetting(f"protocol {self.name}: cool_down_s must be 0 s or more", found=self.cool_down_s)
        if self.statistic not in STATISTICS:
            raise UnknownName(
                f"protocol {self.name}: a statistic must be known", found=self.statistic, known=STATISTICS
            )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("paper_v100", 1, 10, 10, "min", batch=32, source="paper A.2 and Figure 17"),
        Protocol("paper_s20", 1, 0, 30, "mean", cool_down_s=60.0, source="paper A.2"),
        Protocol("paper_simulator", 1, 0, 1, "min", source="paper A.2; a simulator that repeats itself needs one run"),
        Protocol("interleaved", 10, 3, 10, "median", sentinel_samples=5, source="ours: docs/measuring.md"),
    )
}


def protocol_named(name: str) -> Protocol:
    """Return a protocol by name; raises `UnknownName`."""
    if name not in PROTOCOLS:
        raise UnknownName("a protocol must be a known one", found=name, known=sorted(PROTOCOLS))
    return PROTOCOLS[name]
