"""Protocols: how often a block is run, in what order, when that is enough, and which statistic stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from donna_hw.errors import ConfigError, UnknownNameError

STATISTICS = ("median", "mean", "min")


@dataclass(frozen=True)
class Protocol:
    """A measuring protocol, exact enough to be repeated.

    rounds: visits to each block, every round in a new random order. warmup: runs dropped at each visit; samples: runs kept.
    sentinel_samples: runs of the sentinel block before and after each slice of a visit; 0 for none. The sentinel is one fixed block
    whose speed shows how fast the machine is just now. slices: parts that a visit's samples are cut into.
    statistic: which of `STATISTICS` stands for the block. cool_down_s: pause after each visit. batch: images a run.
    source: where the protocol comes from.

    An adaptive protocol has a `precision`: it stops visiting a block when the 95 % interval of its latency is within that share of it
    on either side, when the noise has settled so that more rounds would not get it there, or at a limit
    (`measurement/stopping.py`). min_rounds: visits before any of this. visit_s: a visit keeps as many runs as fit into this time,
    at least 3, at most `samples`. limit_s: recorded running time spent on one block at most.
    patience_s: a visit that takes longer hangs, and its runtime is killed.
    """

    name: str
    rounds: int
    warmup: int
    samples: int
    statistic: str
    batch: int = 1
    sentinel_samples: int = 0
    slices: int = 1
    cool_down_s: float = 0.0
    source: str = "ours"
    precision: float | None = None
    min_rounds: int = 1
    trial_s: float | None = None
    limit_s: float = inf
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        for field, low in (
            ("rounds", 1),
            ("warmup", 0),
            ("samples", 1),
            ("batch", 1),
            ("sentinel_samples", 0),
            ("slices", 1),
        ):
            if getattr(self, field) < low:
                raise ConfigError(f"protocol {self.name}: {field} must be {low} or more", got=getattr(self, field))
        if not 0 <= self.cool_down_s < inf:
            raise ConfigError(f"protocol {self.name}: cool_down_s must be 0 s or more", got=self.cool_down_s)
        for field in ("precision", "trial_s", "limit_s", "timeout_s"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise ConfigError(f"protocol {self.name}: {field} must be above 0", got=value)
        if self.precision is not None and self.min_rounds < 3:
            raise ConfigError(
                f"protocol {self.name}: an interval over rounds needs min_rounds of 3 or more", got=self.min_rounds
            )
        if self.statistic not in STATISTICS:
            raise UnknownNameError(
                f"protocol {self.name}: a statistic must be known", got=self.statistic, choices=STATISTICS
            )

    @property
    def adaptive(self) -> bool:
        """Whether the number of rounds depends on what they show."""
        return self.precision is not None


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("paper_v100", 1, 10, 10, "min", batch=32, source="paper A.2 and Figure 17"),
        Protocol("paper_s20", 1, 0, 30, "mean", cool_down_s=60.0, source="paper A.2"),
        Protocol("paper_simulator", 1, 0, 1, "min", source="paper A.2; a simulator that repeats itself needs one run"),
        Protocol(
            "precise",
            rounds=40,
            warmup=2,
            samples=20,
            statistic="median",
            sentinel_samples=3,
            slices=4,
            source="ours: docs/measuring.md",
            precision=0.015,
            min_rounds=8,
            trial_s=0.02,
            limit_s=20.0,
        ),
        Protocol(
            "quick",
            rounds=12,
            warmup=1,
            samples=10,
            statistic="median",
            sentinel_samples=2,
            slices=2,
            source="ours, for a first look: docs/measuring.md",
            precision=0.03,
            min_rounds=3,
            trial_s=0.005,
            limit_s=5.0,
        ),
    )
}


def get_protocol(name: str) -> Protocol:
    """Return a protocol by name; raises `UnknownNameError`."""
    if name not in PROTOCOLS:
        raise UnknownNameError("a protocol must be a known one", got=name, choices=sorted(PROTOCOLS))
    return PROTOCOLS[name]
