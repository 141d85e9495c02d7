"""Share links in the audit log and in the database: named, and never told."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from streams.access.links import Given, PasscodeError
from streams.delivery import sharing
from streams.models import AuditEntry, Endpoint, ShareLink, User

pytestmark = pytest.mark.django_db

PASSCODE = "canary-passcode"


def test_the_database_and_the_audit_log_hold_neither_link_nor_passcode() -> None:
    ann = User.objects.create_user("ann")
    orders = Endpoint.objects.create(
        slug="orders", title="O", kind="http", url="https://x.example/", everyone=True,
        shareable=True,
    )  # fmt: skip
    soon = timezone.now() + timedelta(days=1)
    text = sharing.make(ann, orders, query="", expires_at=soon, most=1, passcode=PASSCODE)

    with pytest.raises(PasscodeError):
        sharing.open_link(text, Given(PASSCODE + "x"))
    sharing.open_link(text, Given(PASSCODE))
    assert sharing.revoke(ShareLink.objects.get(), by=ann)
    assert not sharing.revoke(ShareLink.objects.get(), by=ann)

    with connection.cursor() as cursor:
        for table in ("streams_sharelink", "streams_auditentry"):
            cursor.execute(f"SELECT * FROM {table}")
            rows = repr(cursor.fetchall())
            assert text[13:] not in rows
            assert PASSCODE not in rows
    told = AuditEntry.objects.order_by("number").values_list("action", "actor", "what")
    assert list(told) == [
        ("link.added", "ann", "orders"),
        ("link.refused", "", "orders"),
        ("link.revoked", "ann", "orders"),
    ]
    assert {entry.details["link"] for entry in AuditEntry.objects.all()} == {text[:12]}
