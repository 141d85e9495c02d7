"""`manage.py ship_offload`: the ends of downloads that nginx carries, from its log."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from streams.delivery import shipping
from streams.delivery.logfile import Log
from streams.management.quick import QuickCommand

MEMORY = "offload_log.json"


class Command(QuickCommand):
    help = (
        "Writes what nginx logs of the downloads that it carries into their records, until "
        "SIGTERM. Runs where nginx does. What happened while it was away is made up for."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("log", type=Path, metavar="FILE", help="nginx's log")
        parser.add_argument("--once", action="store_true", help="ship what there is, and end")

    def handle(self, *args: Any, **options: Any) -> None:
        log: Path = options["log"]
        if not log.parent.is_dir():
            raise CommandError(f"There is no folder {log.parent}.")
        memory = settings.STATE_DIR / MEMORY
        try:
            with Log(log, memory) as following:
                shipping.follow(following, once=options["once"])
        except PermissionError:
            raise CommandError(f"{log} may not be read by this account.") from None
