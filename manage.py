#!/usr/bin/env python
"""Django's command line for Spillway."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import Error as DatabaseError

from portal import malloc

# Whoever runs code of their own is helped by a traceback.
DEVELOPERS = {"shell", "dbshell", "test"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    if sys.argv[1:2] == ["serve"]:
        # Before anything is set up, which takes seconds and would be done twice.
        malloc.ensure()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        # A wrong setting is the operator's to mend: the sentence helps, a traceback does not.
        sys.exit(f"spillway: {exc}")
    except DatabaseError:
        command, *words = sys.argv[1:]
        if command in DEVELOPERS or "--traceback" in words:
            raise
        from streams.management import failures

        if sentence := failures.of_database(migrating=command == "migrate"):
            sys.exit(f"spillway: {sentence}")
        raise


if __name__ == "__main__":
    main()
