"""`manage.py export_registry`: the registry as a file."""

from typing import Any

from streams.management.quick import QuickCommand
from streams.registry.export import export


class Command(QuickCommand):
    help = "Prints the registry in the form that `apply` takes, without secret values."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(export(), ending="")
