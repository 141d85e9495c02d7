"""`flush`, which the audit log refuses in use."""

from typing import Any

from django.core.management.commands import flush

from streams.audit import protection


class Command(flush.Command):
    def handle(self, **options: Any) -> None:
        protection.lift()
        super().handle(**options)
        protection.protect()
