"""Users who download one thing after another, and consumers at the gateways."""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from bench.soak.cases import CASES, WHOLE, Case
from tests.functional.client import Exchange
from tests.functional.composition import Composition
from tests.functional.test_rotation import answer_of

# One in so many leaves in the middle.
LEAVES = 8
# What nginx or a replica answers while something is down.
PASSING = {502, 503, 504}
Seen = Literal["whole", "cut", "left", "turned away", "other bytes", "nothing more"]


@dataclass(frozen=True)
class Ended:
    """One download as its user saw it; `id` is empty where the portal gave none."""

    case: Case
    seen: Seen
    status: int
    id: str


@dataclass
class Traffic:
    """`refused`: what gateways answered instead of 200, and what the rotated export did."""

    portal: Composition
    ended: list[Ended] = field(default_factory=list)
    refused: list[object] = field(default_factory=list)
    asked: int = 0
    broken: list[BaseException] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self, users: int, seed: int) -> Iterator["Traffic"]:
        threads = [threading.Thread(target=self._guarded, args=(self._consume,))]
        for number in range(users):
            dice = random.Random(seed + number)
            threads.append(threading.Thread(target=self._guarded, args=(self._use, dice)))
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self.over.set()
            for thread in threads:
                thread.join(120)
        assert not [thread for thread in threads if thread.is_alive()], "somebody still waits"

    def _guarded(self, work: Callable[..., None], *values: object) -> None:
        try:
            work(*values)
        except BaseException as exc:
            self.broken.append(exc)
            raise

    def _use(self, dice: random.Random) -> None:
        origins = {case: self.portal.origin.on(case.made(dice.uniform(0.5, 6))) for case in CASES}
        while not self.over.is_set():
            case = dice.choice(CASES)
            exchange = self.portal.ask("plain", f"?case={origins[case].name}")
            ended = _left(case, exchange) if dice.randrange(LEAVES) == 0 else _read(case, exchange)
            self.ended.append(ended)
            if ended.seen == "turned away":
                self.over.wait(1)

    def _consume(self) -> None:
        world = self.portal.world
        while not self.over.wait(0.2):
            got = [answer_of(world.rest.url)[0], answer_of(world.http.url)[0]]
            self.asked += len(got)
            self.refused += [status for status in got if status != 200]
            mine = self.portal.ask("orders").read()
            self.asked += 1
            if mine.status not in {200, *PASSING}:
                self.refused.append((mine.status, mine.body[:200]))


def _read(case: Case, exchange: Exchange) -> Ended:
    answer = exchange.read_head()
    try:
        exchange.read_body(answer)
    except TimeoutError:
        exchange.leave()
        return Ended(case, "nothing more", answer.status, answer.value("x-download-id") or "")
    known = answer.value("x-download-id") or ""
    if answer.status != 200:
        assert answer.status in PASSING, (answer.status, answer.body[:200])
        return Ended(case, "turned away", answer.status, known)
    if answer.end != "complete":
        return Ended(case, "cut", 200, known)
    return Ended(case, "whole" if answer.body == WHOLE else "other bytes", 200, known)


def _left(case: Case, exchange: Exchange) -> Ended:
    answer = exchange.read_head()
    seen: Seen = "left"
    if answer.status != 200:
        seen = "turned away"
    elif not exchange.rest():
        try:
            exchange.more()
        except TimeoutError:
            seen = "nothing more"
    exchange.leave()
    return Ended(case, seen, answer.status, answer.value("x-download-id") or "")
