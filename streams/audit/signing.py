"""Who signs in and out, as Django tells it."""

from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import receiver

from streams.audit.log import record
from streams.models import User


@receiver(user_logged_in, dispatch_uid="audit")
def _signed_in(user: User, **_: Any) -> None:
    record("session.signed-in", by=user, what=user.get_username())


@receiver(user_logged_out, dispatch_uid="audit")
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        record("session.signed-out", by=user, what=user.get_username())


@receiver(user_login_failed, dispatch_uid="audit")
def _refused(credentials: dict[str, Any], **_: Any) -> None:
    name = str(credentials.get("username", ""))
    # Whoever errs may have entered their password here: a name that is none is not written down.
    known = User.objects.filter(username=name).exists() if "\0" not in name else False
    record("session.refused", by=None, what=name if known else "an unknown user")
