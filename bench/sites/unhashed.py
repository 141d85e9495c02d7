"""`manage.py serve` as it would be without digests of what it sends: what they cost."""

import os
import sys

import django
from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


def main() -> None:
    django.setup()
    from streams.delivery import digests

    def feed(_: digests.Digests, chunk: bytes) -> None:
        """Nothing."""

    digests.Digests.feed = feed  # type: ignore[method-assign, assignment]
    execute_from_command_line(["manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
