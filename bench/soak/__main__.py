"""`python -m bench.soak`: a portal on several machines, in use while its parts die, for a while.

nginx, two replicas, PostgreSQL, Redis, three workers and a stand-in for AWS; users download, their
sources break off, a secret rotates again and again, and every few seconds one part is killed or
restarted. Ends with 1, and says why, where anything was lost: a download that looks complete and is
not, a record that says otherwise than its user has seen, a refused request at a gateway, a rotation
that does not complete, a process that grows.
"""

import argparse
import contextlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak import chaos, judging
from bench.soak.traffic import Traffic
from tests.functional.composition import Composition, composed
from tests.functional.conftest import until
from tests.functional.origin import Origin

# Of one replica, whatever has happened.
MOST_MEMORY, MOST_FILES = 300_000_000, 300
# Seconds between two mishaps.
APART = (4.0, 15.0)


@dataclass
class Soak:
    portal: Composition
    dice: random.Random
    among: Sequence[chaos.Mishap]
    mishaps: Counter[str] = field(default_factory=Counter)
    # Of the replicas, at most.
    memory: int = 0
    files: int = 0

    def go_on(self, traffic: Traffic, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not traffic.broken:
            self._rotate()
            mishap = self.dice.choice(self.among)
            mishap(self.portal, self.dice)
            self.mishaps[chaos.name(mishap)] += 1
            pause = time.monotonic() + self.dice.uniform(*APART)
            while time.monotonic() < pause:
                self._watch()
                time.sleep(0.5)
        until(lambda: not self._rotates(), 180)

    def _rotates(self) -> bool:
        query = "select count(*) from streams_rotation where finished_at is null"
        return bool(self.portal.row(query)["count"])

    def _rotate(self) -> None:
        if not self._rotates():
            # Whatever is down just now, the next turn tries again.
            with contextlib.suppress(subprocess.SubprocessError):
                self.portal.manage("rotate", "orders")

    def _watch(self) -> None:
        for replica in self.portal.replicas:
            assert replica.running is not None
            process = Path(f"/proc/{replica.running.pid}")
            status = (process / "status").read_text()
            self.memory = max(self.memory, int(status.split("VmRSS:")[1].split()[0]) * 1024)
            self.files = max(self.files, len(list((process / "fd").iterdir())))

    def problems(self, traffic: Traffic) -> Iterator[str]:
        yield from judging.told(self.portal, traffic)
        if self.memory > MOST_MEMORY:
            yield f"A replica came to {self.memory / 1e6:.0f} MB."
        if self.files > MOST_FILES:
            yield f"A replica had {self.files} files open."

    def report(self, traffic: Traffic) -> Iterator[str]:
        seen = Counter[str](ended.seen for ended in traffic.ended)
        rotated = self.portal.row("select count(*) from streams_rotation")["count"]
        resumed = self.portal.row("select coalesce(sum(resumes), 0) from streams_download")
        yield f"downloads        {len(traffic.ended)}: " + _listed(seen)
        yield f"resumed unseen   {resumed['coalesce']}"
        yield f"rotations        {rotated}"
        yield f"at gateways      {traffic.asked} requests, {len(traffic.refused)} refused"
        yield f"mishaps          {self.mishaps.total()}: " + _listed(self.mishaps)
        yield f"a replica        {self.memory / 1e6:.0f} MB and {self.files} open files at most"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--only", default="", metavar="TEXT", help="mishaps whose name has it")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    wanted = parser.parse_args()
    print(f"{wanted.minutes:g} minutes, {wanted.users} users, --seed {wanted.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="spillway-soak-") as folder,
        contextlib.closing(Origin()) as origin,
        composed(Path(folder), origin) as portal,
    ):
        among = [mishap for mishap in chaos.ALL if wanted.only in chaos.name(mishap)]
        soak = Soak(portal, random.Random(wanted.seed), among)
        with Traffic(portal).running(wanted.users, wanted.seed) as traffic:
            soak.go_on(traffic, wanted.minutes * 60)
        problems = list(soak.problems(traffic))
        print(*soak.report(traffic), sep="\n")
    print(*(problems or ["Nothing was lost."]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
