"""What to tell an operator whose command could not work, instead of a traceback."""

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection

from streams.doctor.installation import unmigrated

NOT_MIGRATED = "The database is not up to date. Run: manage.py migrate"


def is_unmigrated() -> bool:
    """Raises `DatabaseError` where the database cannot be asked."""
    try:
        return bool(unmigrated())
    finally:
        connection.close()


def away(exc: DatabaseError) -> str:
    """For a database that cannot be asked. The password is in no such sentence."""
    text = " ".join(str(exc).split())
    if password := settings.DATABASES["default"]["PASSWORD"]:
        text = text.replace(password, "…")
    return f"DATABASE_URL: the database does not answer: {text}"


def of_database(*, migrating: bool) -> str | None:
    """What an error of the database comes from; None if it is there and up to date."""
    try:
        lacks = is_unmigrated()
    except DatabaseError as exc:
        return away(exc)
    return NOT_MIGRATED if lacks and not migrating else None
