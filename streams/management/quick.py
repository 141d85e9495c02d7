"""What our commands are."""

from django.core.checks import Tags
from django.core.management.base import BaseCommand


class QuickCommand(BaseCommand):
    """One that does not begin with all of Django's checks.

    These look at the addresses, and so import every page, which takes longer than most commands do.
    Only `worker` has them: Celery makes them anyway.
    """

    requires_system_checks = [Tags.models]
