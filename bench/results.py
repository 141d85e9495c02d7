"""What was measured, in plain values."""

import statistics
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Throughput:
    """One stack relaying one kind of body; rates are bytes a second, by round."""

    measure: str
    scenario: str
    stack: str
    rates: dict[int, float] = field(default_factory=dict)
    ratios: dict[int, float] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    relayed: int = 0
    failure: str | None = None

    @property
    def rate(self) -> float | None:
        """The median; None where any round failed."""
        return statistics.median(self.rates.values()) if self.rates and not self.failure else None

    @property
    def ratio(self) -> float | None:
        """The median of the ratios to the reference in the same round."""
        usable = self.ratios and not self.failure
        return statistics.median(self.ratios.values()) if usable else None

    @property
    def cpu_per_gb(self) -> float | None:
        """Seconds of the stack's processor time for 10^9 bytes, over all rounds."""
        usable = self.relayed and self.cpu_seconds and not self.failure
        return self.cpu_seconds / self.relayed * 1e9 if usable else None


@dataclass
class FirstByte:
    """Seconds from a request to the first byte of the body."""

    scenario: str
    stack: str
    times: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def median(self) -> float | None:
        """None where any request failed."""
        return statistics.median(self.times) if self.times and not self.failure else None


@dataclass
class SlowClients:
    """Many slow downloads at once, and a fast one among them; memory in bytes."""

    scenario: str
    stack: str
    count: int
    served: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    first_bytes_after: float | None = None
    memory: int | None = None
    kernel_memory: int | None = None
    lost_meanwhile: int = 0
    fast_rate: float | None = None
    fast_failure: str | None = None
    failure: str | None = None

    def each(self, total: int | None) -> float | None:
        """A total divided among the downloads; None unless every one of them runs."""
        return total / self.count if total is not None and self.served == self.count else None


@dataclass
class Kind:
    """One kind of origin through the portal, and straight from the same stand-in for AWS."""

    kind: str
    size: int
    rates: dict[int, float] = field(default_factory=dict)
    direct: dict[int, float] = field(default_factory=dict)
    failure: str | None = None

    @property
    def rate(self) -> float | None:
        """Bytes a second, the median; None where any round failed."""
        return statistics.median(self.rates.values()) if self.rates and not self.failure else None

    @property
    def direct_rate(self) -> float | None:
        return statistics.median(self.direct.values()) if self.direct else None

    @property
    def ratio(self) -> float | None:
        """The median of the ratios within each round."""
        if self.failure:
            return None
        ratios = [rate / self.direct[number] for number, rate in self.rates.items()]
        return statistics.median(ratios) if ratios else None


@dataclass
class Segments:
    """A file under Lambda's limits, in one stream and in segments; seconds."""

    size: int
    plan: str
    seconds: float | None = None
    one_stream: float | None = None
    failure: str | None = None


@dataclass
class Results:
    """Everything of one run."""

    machine: dict[str, Any]
    plan: dict[str, Any]
    skipped: dict[str, str] = field(default_factory=dict)
    throughput: list[Throughput] = field(default_factory=list)
    first_byte: list[FirstByte] = field(default_factory=list)
    slow: list[SlowClients] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    segments: list[Segments] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def failures(self) -> list[str]:
        """One sentence for each measurement that failed."""
        found = [(f"{t.measure}, {t.scenario}", t.stack, t.failure) for t in self.throughput]
        found += [(f"first byte, {f.scenario}", f.stack, f.failure) for f in self.first_byte]
        found += [(f"{s.count} slow, {s.scenario}", s.stack, s.failure) for s in self.slow]
        found += [(f"kind {kind.kind}", "spillway", kind.failure) for kind in self.kinds]
        found += [(f"segments, {each.plan}", "spillway", each.failure) for each in self.segments]
        return [f"{stack}, {what}: {why}" for what, stack, why in found if why]
