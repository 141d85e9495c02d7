"""How long requests through gateways are refused where no order of the steps avoids it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from streams.rotation.probing import Verdict
from streams.rotation.run import Run, Wait
from streams.rotation.senders import GatewaySender
from streams.rotation.steps import Step

# Seconds between two looks.
LOOK = 1.0


@dataclass(frozen=True)
class Watched:
    """A step in which requests may be refused: with each turn, one is sent through each gateway."""

    step: Step
    gateways: list[GatewaySender]

    @property
    def name(self) -> str:
        return self.step.name

    def do(self, run: Run) -> Wait | None:
        return self._watched(run, self.step.do(run))

    def undo(self, run: Run) -> Wait | None:
        return self._watched(run, self.step.undo(run))

    def _watched(self, run: Run, wait: Wait | None) -> Wait | None:
        verdicts = [gateway.probe.verdict() for gateway in self.gateways if gateway.probe]
        if Verdict.REFUSED in verdicts:
            first, _ = run.notes.get("refused") or (run.clock(), None)
            run.notes.put("refused", [first, run.clock()])
        return Wait(min(wait.seconds, LOOK), wait.reason) if wait else None


@dataclass(frozen=True)
class TellGap:
    """An operator learns what was measured."""

    gateways: list[GatewaySender]
    name: str = "tell gap"

    def do(self, run: Run) -> Wait | None:
        asked = sum(1 for gateway in self.gateways if gateway.probe)
        through = f"{asked} of {len(self.gateways)} gateways, asked about once a second"
        refused = run.notes.get("refused")
        if not asked:
            run.say("How long requests were refused is not known: no gateway has a url to ask.")
        elif refused is None:
            run.say(f"No request was seen refused through {through}.")
        else:
            first, last = refused
            run.say(
                f"Requests were seen refused through {through}: "
                f"from {_time(first)} to {_time(last)}, {last - first:.0f} s."
            )
        return None

    def undo(self, run: Run) -> Wait | None:
        return None


def _time(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%H:%M:%SZ}"
