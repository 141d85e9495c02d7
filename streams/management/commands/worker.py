"""`manage.py worker`: the Celery worker, with the scheduler inside if it is asked for."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Runs background work until SIGTERM. A message is a doorbell; the work is in rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--with-scheduler", action="store_true", help="also send the tick (once per portal)"
        )
        parser.add_argument("--concurrency", type=int, default=2, metavar="N", help="processes")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["concurrency"] < 1:
            raise CommandError("--concurrency: expected 1 or more")
        from portal.celery import app

        arguments = ["worker", "--loglevel=INFO", f"--concurrency={options['concurrency']}"]
        arguments += ["--without-gossip", "--without-mingle", "--hostname=worker@%h-%n"]
        if options["with_scheduler"]:
            arguments.append("--beat")
        app.worker_main(arguments)
