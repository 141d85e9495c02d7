"""How much is measured: sizes in bytes, times in seconds."""

from dataclasses import dataclass, field

MIB = 1024 * 1024

MEASURES = ("single", "four", "sixteen", "first-byte", "slow", "kinds", "segments")


@dataclass(frozen=True)
class Plan:
    """One run. Every size here is offered by the origin and known to each stack beforehand."""

    rounds: int = 5
    # All streams of one measurement together.
    transfer: int = 2048 * MIB
    check: int = 32 * MIB
    first_byte: int = 64 * 1024
    first_byte_requests: int = 50
    slow_counts: tuple[int, ...] = (200, 1000)
    # More than the buffers of any stack hold, so that a slow download is still running at the end.
    slow: int = 1024 * MIB
    fast: int = 128 * MIB
    settle: float = 6.0
    measures: tuple[str, ...] = MEASURES
    scenarios: tuple[str, ...] = field(default=())
    gunicorn_threads: int = 8

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every size that is going to be asked for."""
        return tuple(
            sorted(
                {self.transfer, self.transfer // 4, self.transfer // 16}
                | {self.check, self.first_byte, self.slow, self.fast}
            )
        )


FULL = Plan()
QUICK = Plan(rounds=2, transfer=128 * MIB, fast=64 * MIB, slow_counts=(200,), settle=3.0)
