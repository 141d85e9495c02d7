"""`python -m bench.seed`: fills an empty database with a portal that has been in use for a while.

The database is that of the settings (`DATABASE_URL`, `SPILLWAY_STATE_DIR`). The same arguments make
the same rows, but for what is encrypted or sealed with the portal's own keys.
"""

import argparse
import os
import random
import sys
import time
from datetime import datetime

import django


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.seed", description=__doc__)
    add = parser.add_argument
    add("--endpoints", type=int, default=1_000, metavar="N")
    add("--downloads", type=int, default=1_000_000, metavar="N")
    add("--audit", type=int, default=100_000, metavar="N")
    add("--users", type=int, default=1_000, metavar="N")
    add("--seed", type=int, default=1, metavar="N", help="another one makes other rows")
    add("--now", type=datetime.fromisoformat, metavar="TIME", help="with its zone; else: now")
    add("--password", default="spillway-bench", help="of viewer, operator and administrator")
    wanted = parser.parse_args()
    if wanted.now is not None and wanted.now.tzinfo is None:
        parser.error("--now needs a zone, such as 2026-01-01T00:00+00:00")
    if min(wanted.endpoints, wanted.users) < 1:
        parser.error("at least one endpoint and one user")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    return _seed(wanted)


def _seed(wanted: argparse.Namespace) -> int:
    from django.core.management import call_command
    from django.utils import timezone

    from bench.seed import filling
    from streams.models import Endpoint, User

    call_command("migrate", verbosity=0)
    if Endpoint.objects.exists() or User.objects.exists():
        print("There are endpoints or users in this database already. Give an empty one.")
        return 1
    begun = time.monotonic()
    filling.everything(
        endpoints=wanted.endpoints, downloads=wanted.downloads, audit=wanted.audit,
        users=wanted.users, dice=random.Random(wanted.seed), now=wanted.now or timezone.now(),
        password=wanted.password,
    )  # fmt: skip
    filling.settle()
    print(f"Done in {time.monotonic() - begun:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
