"""All of it, in the order in which one needs the other."""

import random
from datetime import datetime

from django.db import connection, transaction

from bench.seed import records, registry


def everything(
    *,
    endpoints: int,
    downloads: int,
    audit: int,
    users: int,
    dice: random.Random,
    now: datetime,
    password: str,
) -> None:
    """Into a database that has been migrated and has nothing in it yet."""
    with transaction.atomic():
        people = registry.people(users, now, password)
        secrets = registry.secrets(max(1, endpoints // 4), dice, now)
        made = registry.endpoints(endpoints, dice, now, secrets, people.groups)
        registry.notices(endpoints * registry.NOTICES, now)
    records.downloads(downloads, dice, now, made, people.users)
    records.entries(audit, dice, now, people.users)


def settle() -> None:
    """What PostgreSQL's autovacuum would do within minutes. SQLite does nothing by itself."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
