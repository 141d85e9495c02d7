"""`manage.py serve`: the production web server."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import Error as DatabaseError
from django.db import connection

from portal import server
from streams.management import failures
from streams.management.quick import QuickCommand
from streams.models import Installation


class Command(QuickCommand):
    help = "Serves the portal until SIGTERM; running downloads are finished first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--bind", default="127.0.0.1:8000", metavar="HOST:PORT")
        parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = _address(options["bind"])
        if options["workers"] < 1:
            raise CommandError("--workers: expected 1 or more")
        _check_database()
        call_command("collectstatic", interactive=False, verbosity=0)
        try:
            sock = server.listen(host, port, client_timeout=settings.CLIENT_TIMEOUT)
        except OSError as exc:
            raise CommandError(f"--bind {options['bind']}: {exc.strerror}") from exc
        self.stderr.write(f"Serving on http://{host}:{sock.getsockname()[1]}/")
        server.run(sock, workers=options["workers"])
        sys.stderr.flush()


def _address(bind: str) -> tuple[str, int]:
    host, _, port = bind.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise CommandError("--bind: expected HOST:PORT, such as 0.0.0.0:8000")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - the operator left the host out


def _check_database() -> None:
    try:
        lacks = failures.is_unmigrated()
        if not lacks:
            # From now on a scheduler is missed where none ticks.
            Installation.objects.here()
    except DatabaseError as exc:
        raise CommandError(failures.away(exc)) from exc
    finally:
        connection.close()
    if lacks:
        raise CommandError(failures.NOT_MIGRATED)
