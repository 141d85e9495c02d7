"""`python -m bench.pages`: how long each of the operators' pages takes, and how many queries.

Of the database of the settings, which `python -m bench.seed` has filled. Pages are made in this
process, by Django's own test client: no network and no server is in the figures. The exit status is
1 where a page is over the bound.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import django

if TYPE_CHECKING:
    from django.test import Client

# Milliseconds.
BOUND = 300


@dataclass(frozen=True)
class Figure:
    """Of one page, as one of the staff sees it.

    `own` is what this process computed in that time: on SQLite nearly all of it, and less than the
    whole where others want the processor.
    """

    who: str
    name: str
    address: str
    milliseconds: float
    own: float
    queries: int
    bytes: int

    @property
    def query(self) -> str:
        return self.address.partition("?")[2]

    @property
    def is_slow(self) -> bool:
        return self.milliseconds > BOUND


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=5, metavar="N", help="after one that does not count")
    add("--only", default="", metavar="TEXT", help="pages whose name or address has it")
    add("--who", default="administrator,operator", metavar="ROLE,…")
    wanted = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    slow = 0
    for who in wanted.who.split(","):
        for figure in measured(who, wanted.only, wanted.rounds):
            slow += figure.is_slow
            print(_line(figure), flush=True)
    print(f"{slow} pages over {BOUND} ms")
    return 1 if slow else 0


def measured(who: str, only: str, rounds: int) -> Iterator[Figure]:
    """Each page that this role sees."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from streams.models import User

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.get(username=who))
    for name, address in pages():
        if only not in f"{name} {address}":
            continue
        with CaptureQueriesContext(connection) as queries:
            answer: Any = client.get(address)
        # Now: the next request empties what they are counted from.
        count = len(queries)
        if answer.status_code >= 500:
            raise RuntimeError(f"{address} answers {answer.status_code}")
        if answer.status_code == 200 and not answer.streaming:
            times = [_timed(client, address) for _ in range(rounds)]
            whole, own = ([one[n] for one in times] for n in (0, 1))
            yield Figure(who, name, address, _middle(whole), _middle(own), count,
                         len(answer.content))  # fmt: skip


def pages() -> Iterator[tuple[str, str]]:
    """Every address of the site, and what its lists are asked for besides."""
    from bench import addresses

    for name, address in addresses.addresses(_busiest):
        if name not in addresses.ELSEWHERE or name == "autocomplete":
            yield str(name), address
    yield from _asked()


def _busiest(model: Any) -> Any:
    """The row with most behind it: the first export and the first user have most downloads."""
    if model._meta.model_name == "download":
        return model.objects.filter(state="complete").order_by("-started_at").first()
    return model._default_manager.order_by("pk").first()


def _asked() -> Iterator[tuple[str, str]]:
    from django.urls import reverse

    asked = {
        "index": ["range=7d", "range=30d"],
        "streams_endpoint_changelist": ["health=failing", "kind__exact=s3", "q=export", "p=5"],
        "streams_download_changelist": [
            "q=user00001", "q=export-0001", "q=export", "q=nothing at all", "state__exact=cut",
            "why=client-left", "export=export-0007", "p=100", "state__exact=running",
            "endpoint__exact=1", "o=5", "o=7",
        ],
        "streams_download_live": ["page=2"],
        "streams_auditentry_changelist": [
            "q=user00001", "q=nothing at all", "action=user.signed-in", "how__exact=web", "p=900",
        ],
        "streams_rotation_changelist": ["state__exact=failed", "q=secret-01"],
        "streams_secret_changelist": ["q=secret-01"],
        "streams_notice_changelist": ["state=given-up", "q=changed"],
        "streams_user_changelist": ["q=user0", "is_staff__exact=1"],
        "streams_apitoken_changelist": ["q=cron"],
    }  # fmt: skip
    for name, queries in asked.items():
        for query in queries:
            yield name, f"{reverse(f'admin:{name}')}?{query}"


def _timed(client: "Client", address: str) -> tuple[float, float]:
    begun, computed = time.perf_counter(), time.process_time()
    client.get(address)
    return (time.perf_counter() - begun) * 1000, (time.process_time() - computed) * 1000


def _middle(values: list[float]) -> float:
    return statistics.median(values) if values else 0


def _line(one: Figure) -> str:
    mark = "SLOW" if one.is_slow else "    "
    times = f"{one.milliseconds:7.0f} ms {one.own:6.0f} own"
    told = f"{times} {one.queries:4} queries {one.bytes / 1000:6.0f} kB"
    return f"{mark} {told}  {one.who:13} {one.name:34} {one.address}"


if __name__ == "__main__":
    sys.exit(main())
