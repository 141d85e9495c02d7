#!/usr/bin/env python
"""Django's command line for Spillway."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        # A wrong setting is the operator's to mend: the sentence helps, a traceback does not.
        sys.exit(f"spillway: {exc}")


if __name__ == "__main__":
    main()
