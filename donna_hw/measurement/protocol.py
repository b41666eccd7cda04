"""Protocols: how often a block is run, in what order, when that is enough, and which statistic is its latency."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from donna_hw.errors import ConfigError, UnknownNameError

STATISTICS = ("median", "mean", "min")


@dataclass(frozen=True)
class Protocol:
    """A measuring protocol, exact enough to be repeated.

    A trial is one turn of a block: it is warmed up, then its runs are timed. An adaptive protocol has a `precision`: it stops
    measuring a block when the 95 % interval of its latency is within that share of it on either side, when the noise is stable and
    more rounds would not get it there, or at a limit (`measurement/stopping.py`).

    Args:
        name: By which `get_protocol` finds it.
        rounds: Trials of each block at most; every round runs the blocks in a new random order.
        warmup: Runs dropped at the start of each trial.
        samples: Runs timed in each trial.
        statistic: Which of `STATISTICS` of the samples is the latency.
        batch: Images per run.
        sentinel_samples: Runs of the sentinel block before and after each slice of a trial; 0 for none. The sentinel is one fixed
            block whose speed shows how fast the machine is at the moment.
        slices: Parts that the samples of a trial are divided into.
        cool_down_s: Pause after each trial, in seconds.
        source: Where the protocol comes from.
        precision: Half width of the 95 % interval, as a share of the latency, that is narrow enough; None for a fixed number of rounds.
        min_rounds: Trials before an adaptive protocol may stop.
        trial_s: A trial times as many runs as fit into this time, in seconds, at least 3 and at most `samples`; None for all `samples`.
        limit_s: Recorded running time spent on one block at most, in seconds.
        timeout_s: A trial that takes longer, in seconds, is taken to hang, and its runtime is killed.

    Raises:
        ConfigError: A number is out of its range.
        UnknownNameError: The statistic is unknown.
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
                raise ConfigError(f"protocol {self.name}: {field} must be at least {low}", got=getattr(self, field))
        if not 0 <= self.cool_down_s < inf:
            raise ConfigError(
                f"protocol {self.name}: cool_down_s must be at least 0 s and finite", got=self.cool_down_s
            )
        for field in ("precision", "trial_s", "limit_s", "timeout_s"):
            value = getattr(self, field)
            if value is not None and not value > 0:
                raise ConfigError(f"protocol {self.name}: {field} must be above 0", got=value)
        if self.precision is not None and self.min_rounds < 3:
            raise ConfigError(
                f"protocol {self.name}: min_rounds must be at least 3 for an interval over rounds", got=self.min_rounds
            )
        if self.statistic not in STATISTICS:
            raise UnknownNameError(f"protocol {self.name}: unknown statistic", got=self.statistic, choices=STATISTICS)

    @property
    def adaptive(self) -> bool:
        """Whether the number of rounds depends on the samples."""
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
        raise UnknownNameError("unknown protocol", got=name, choices=sorted(PROTOCOLS))
    return PROTOCOLS[name]
