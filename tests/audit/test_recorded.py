"""Whatever changes something leaves one entry, which names it and no value."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from streams.access import tokens
from streams.delivery import abandoned
from streams.models import ApiToken, AuditEntry, Channel, Download, Endpoint, Notice, Secret, User
from streams.registry.apply import apply
from streams.registry.parse import parse
from tests.admin.test_admin import ENDPOINT_FORM, SECRET_FORM
from tests.admin.test_notices import FORM as CHANNEL_FORM

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "v" * 32


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("op", password="correct-horse"))
    return client


@pytest.fixture(autouse=True)
def _no_value() -> Iterator[None]:
    yield
    assert "canary" not in str(list(AuditEntry.objects.values()))


def recorded(after: int = 1) -> list[tuple[str, str, str]]:
    """All but the sign-in."""
    found = AuditEntry.objects.filter(number__gt=after).order_by("number")
    return list(found.values_list("action", "actor", "what"))


def address(what: str, *args: Any) -> str:
    return reverse(f"admin:{what}", args=args)


def test_endpoints(operator: Client) -> None:
    operator.post(address("streams_endpoint_add_all"), ENDPOINT_FORM)
    endpoint = Endpoint.objects.get()
    change = address("streams_endpoint_change", endpoint.pk)
    operator.post(change, {**ENDPOINT_FORM, "initial-params": "[]"})
    group = Group.objects.create(name="analysts")
    grant = {"grants-TOTAL_FORMS": "1", "grants-0-group": str(group.pk)}
    operator.post(change, {**ENDPOINT_FORM, "title": "Newer", **grant})
    operator.post(change, {**ENDPOINT_FORM, "slug": "Not a slug"})
    operator.post(address("streams_endpoint_delete", endpoint.pk), {"post": "yes"})

    assert recorded() == [
        ("endpoint.added", "op", "new"),
        ("endpoint.changed", "op", "new"),
        ("endpoint.deleted", "op", "new"),
    ]
    changes = AuditEntry.objects.get(action="endpoint.changed").details["changes"]
    assert "Changed Title" in changes
    assert "Added grant" in changes
    entry = AuditEntry.objects.get(action="endpoint.added")
    assert (entry.how, entry.address) == ("web", "127.0.0.1")


def test_several_endpoints_deleted_at_once(operator: Client) -> None:
    for slug in ("a", "b"):
        Endpoint.objects.create(slug=slug, title=slug, kind="http", url="https://example.com/")
    pks = [str(pk) for pk in Endpoint.objects.values_list("pk", flat=True)]

    operator.post(
        address("streams_endpoint_changelist"),
        {"action": "delete_selected", "_selected_action": pks, "post": "yes"},
    )

    assert sorted(recorded()) == [
        ("endpoint.deleted", "op", "a"), ("endpoint.deleted", "op", "b"),
    ]  # fmt: skip


def test_secrets(operator: Client) -> None:
    operator.post(address("streams_secret_add"), {**SECRET_FORM, "new_value": VALUE})
    change = address("streams_secret_change", Secret.objects.get().pk)
    operator.post(change, {**SECRET_FORM, "new_value": f"{VALUE}2"})
    operator.post(address("streams_secret_delete", Secret.objects.get().pk), {"post": "yes"})

    assert recorded() == [
        ("secret.added", "op", "orders"),
        ("secret.changed", "op", "orders"),
        ("secret.deleted", "op", "orders"),
    ]


def test_users_groups_and_passwords(operator: Client) -> None:
    password = {"password1": "canary-tiger-9", "password2": "canary-tiger-9"}
    operator.post(
        address("streams_user_add"), {"username": "ann", "usable_password": "true", **password}
    )
    ann = User.objects.get(username="ann")
    operator.post(f"/operate/streams/user/{ann.pk}/password/", password)
    operator.post(address("auth_group_add"), {"name": "analysts"})
    operator.post(
        "/accounts/password/",
        {
            "oldpassword": "correct-horse",
            "password1": "canary-lion-9",
            "password2": "canary-lion-9",
        },
    )

    assert recorded() == [
        ("user.added", "op", "ann"),
        ("user.changed", "op", "ann"),
        ("group.added", "op", "analysts"),
        ("user.changed", "op", "op"),
    ]


def test_tokens_are_revoked_once(operator: Client) -> None:
    tokens.issue(User.objects.get(), name="cron")
    token = ApiToken.objects.get()
    form = {"action": "revoke", "_selected_action": [token.pk]}

    for _ in range(2):
        operator.post(address("streams_apitoken_changelist"), form)

    assert recorded() == [("token.revoked", "op", f"{token.key} of op")]


def test_channels_and_notices(operator: Client) -> None:
    operator.post(address("streams_channel_add"), {**CHANNEL_FORM, "kind": "webhook"})
    channel = Channel.objects.get()
    for what in ("test", "key"):
        operator.post(f"/operate/streams/channel/{channel.pk}/{what}/", {"sure": "yes"})
    Notice.objects.update(given_up_at=timezone.now())
    operator.post(
        address("streams_notice_changelist"),
        {"action": "try_again", "_selected_action": [str(Notice.objects.get().pk)]},
    )

    assert recorded() == [
        ("channel.added", "op", "pager"),
        ("channel.tested", "op", "pager"),
        ("channel.changed", "op", "pager"),
        ("notice.tried-again", "op", "1 notice"),
    ]
    channel.refresh_from_db()
    assert channel.key not in str(list(AuditEntry.objects.values()))


REGISTRY = """
version: 1
secrets: [{name: guard, value_from_env: GUARD}]
endpoints: [{slug: orders, title: Orders, kind: http, url: "https://example.com/", groups: "*"}]
"""


def test_the_registry_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD", VALUE)
    ann = User.objects.create_user("ann")
    file = tmp_path / "registry.yaml"
    file.write_text(REGISTRY)
    call_command("apply", str(file), "--dry-run", stdout=StringIO())
    assert recorded(after=0) == []

    for _ in range(2):
        call_command("apply", str(file), stdout=StringIO())
    apply(parse(REGISTRY.replace("title: Orders", "title: New")), by=ann)
    apply(parse("version: 1"), prune=True)

    assert recorded(after=0) == [
        ("secret.added", "", "guard"),
        ("endpoint.added", "", "orders"),
        ("endpoint.changed", "ann", "orders"),
        ("endpoint.deleted", "", "orders"),
        ("secret.deleted", "", "guard"),
    ]
    changed = AuditEntry.objects.get(action="endpoint.changed")
    assert changed.details == {"changes": "title"}
    assert AuditEntry.objects.get(number=1).how == "command"


def test_a_registry_that_is_refused_leaves_none(tmp_path: Path) -> None:
    file = tmp_path / "registry.yaml"
    file.write_text(REGISTRY.replace("GUARD", "NOT_SET"))

    with pytest.raises(CommandError):
        call_command("apply", str(file))

    assert recorded(after=0) == []


def test_accounts_made_by_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "canary-tiger-9")
    for _ in range(2):
        call_command("create_user", "ann", "--role", "viewer", "--password-env", "PASSWORD")
    call_command("create_token", "ann", stdout=StringIO())

    key = ApiToken.objects.get().key
    assert recorded(after=0) == [
        ("user.added", "", "ann"),
        ("user.changed", "", "ann"),
        ("token.added", "", f"{key} of ann"),
    ]
    first, second, _ = AuditEntry.objects.order_by("number")
    assert first.details == {"changes": "password, group viewer"}
    assert second.details == {"changes": "group viewer"}


def test_another_role_replaces_the_one_before() -> None:
    call_command("create_user", "ann", "--staff", "--group", "analysts", stdout=StringIO())
    call_command("create_user", "ann", "--role", "viewer", stdout=StringIO())

    ann = User.objects.get()
    assert ann.is_staff
    assert set(ann.groups.values_list("name", flat=True)) == {"analysts", "viewer"}
    assert not ann.has_perm("streams.change_endpoint")


def test_a_download_whose_process_was_killed_ends_once() -> None:
    Download.objects.create(
        slug="orders", username="ann", sent=5, seen_at=timezone.now() - timedelta(minutes=5)
    )

    assert [abandoned.interrupt(), abandoned.interrupt()] == [1, 0]

    assert recorded(after=0) == [("download.ended", "ann", "orders")]
    details = AuditEntry.objects.get().details
    assert (details["outcome"], details["bytes"]) == ("interrupted", "5")


def test_what_is_rolled_back_leaves_none(operator: Client) -> None:
    """The database refuses the change after it was recorded."""
    with connection.cursor() as cursor, transaction.atomic():
        cursor.execute("SELECT 1")
        operator.post(address("streams_endpoint_add_all"), ENDPOINT_FORM)
        transaction.set_rollback(True)

    assert recorded() == []
    assert not Endpoint.objects.exists()
