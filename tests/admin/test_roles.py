"""Who may do what at /operate/: every page that there is, by everybody there is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from bench import addresses as walked
from streams import audit
from streams.access import links, tokens
from streams.access.roles import Role
from streams.admin.base import RecordingAdmin
from streams.doctor import storing
from streams.doctor.run import judged
from streams.models import (
    ApiToken,
    Channel,
    Checkup,
    Download,
    Endpoint,
    Notice,
    Rotation,
    Scope,
    Secret,
    User,
    Why,
)
from tests.admin import test_admin
from tests.admin.test_admin import ENDPOINT_FORM, VALUE, stored
from tests.admin.test_doctor import BROKEN
from tests.portal import observatory

pytestmark = pytest.mark.django_db

world = test_admin.world

STAFF = list(Role)
EVERYBODY = ["nobody", "end user", *STAFF]
OPERATORS, ADMINISTRATORS = STAFF[1:], STAFF[2:]
# By the names of their URLs. What is not here may be seen by all staff.
ONLY: dict[str, list[Role]] = {
    "streams_endpoint_add": OPERATORS,
    "streams_endpoint_add_all": OPERATORS,
    "streams_secret_rotation": OPERATORS,
    "streams_download_stop": OPERATORS,
    "streams_secret_revelation": ADMINISTRATORS,
    "doctor_fix": OPERATORS,
    "streams_channel_test": ADMINISTRATORS,
    "streams_channel_renew_key": ADMINISTRATORS,
    "auth_user_password_change": ADMINISTRATORS,
}
for _name in ("streams_secret", "streams_channel", "streams_user", "auth_group"):
    ONLY[f"{_name}_add"] = ONLY[f"{_name}_delete"] = ADMINISTRATORS
ONLY["streams_endpoint_delete"] = ADMINISTRATORS
for _name in ("apitoken", "sharelink", "download", "rotation", "notice", "auditentry", "setup"):
    ONLY[f"streams_{_name}_add"] = ONLY[f"streams_{_name}_delete"] = []


def person(who: str, name: str = "") -> User:
    user = User.objects.create_user(name or f"{who} {User.objects.count()}", password="correct")
    if who in STAFF:
        user.is_staff = True
        user.save()
        user.groups.add(Group.objects.get(name=who))
    return user


def client_of(who: str, *, strict: bool = False) -> Client:
    client = Client(enforce_csrf_checks=strict)
    if who != "nobody":
        client.force_login(person(who))
    return client


def addresses() -> Iterator[tuple[str | None, str]]:
    """Of the whole admin, as its own URL patterns have them: each name, and an address."""
    audit.record("test.ran", by=None, what="so that there is an entry")
    examined()
    return walked.addresses()


def examined() -> None:
    """So that there is a finding with a repair; of what is gone, so that AWS is not asked."""
    row, _ = Checkup.objects.get_or_create(endpoint=Endpoint.objects.get())
    gone = judged([replace(BROKEN, secret_name="")])
    storing.record(row, gone, why=Why.SCHEDULE, seconds=1)


@pytest.mark.parametrize("who", EVERYBODY)
def test_every_page_is_for_whom_it_is_and_a_get_changes_nothing(who: str) -> None:
    ann = User.objects.get(username="ann")
    ann.set_password("correct")
    ann.save()
    client, pages = client_of(who), list(addresses())
    assert len(pages) > 70
    before = stored()

    for name, address in pages:
        answer = client.get(address)
        seen = answer.status_code == 200
        assert answer.status_code < 500, address
        if who not in STAFF:
            assert not seen or name in {"login", "jsi18n"}, address
        elif name not in walked.ELSEWHERE:
            assert seen == (who in ONLY.get(name or "", STAFF)), (address, answer.status_code)
        if seen and not answer.streaming:
            page = answer.content.decode()
            assert VALUE not in page, address
            assert ann.password not in page, address
            if who == "administrator":
                # Its policy runs no script that stands in a page.
                assert observatory.inline(page) == [], address

    assert stored() == before


FORMS = [
    {"post": "yes", "what": "start", "name": "orders", "password": "correct"},
    {"action": "revoke", "_selected_action": "1"},
    {"action": "delete_selected", "post": "yes", "_selected_action": "1"},
]  # fmt: skip


def test_a_viewer_changes_nothing() -> None:
    client, before = client_of(Role.VIEWER), ""
    pages = [one for one in addresses() if one[0] not in {"logout", "login"}]
    before = stored()

    for form in FORMS:
        for _, address in pages:
            assert client.post(address, form).status_code < 500, address

    assert stored() == before


def test_every_post_needs_its_token() -> None:
    client = client_of(Role.ADMINISTRATOR, strict=True)
    pages = list(addresses())
    before = stored()

    for _, address in pages:
        assert client.post(address, FORMS[0]).status_code in {403, 404}, address

    assert stored() == before


def test_every_admin_records_what_it_does() -> None:
    for model, made in admin.site._registry.items():
        assert isinstance(made, RecordingAdmin), model


def test_the_roles_are_kept_as_they_are() -> None:
    group = Group.objects.get(name=Role.VIEWER)
    group.permissions.clear()
    Group.objects.get(name=Role.OPERATOR).delete()

    call_command("migrate", verbosity=0)

    assert set(Group.objects.filter(name__in=Role).values_list("name", flat=True)) == set(Role)
    names = set(group.permissions.values_list("codename", flat=True))
    assert "view_endpoint" in names
    assert all(name.startswith("view_") for name in names)


@pytest.fixture
def closed() -> Endpoint:
    """Which the group `team` operates."""
    endpoint = Endpoint.objects.get(slug="orders")
    endpoint.operators = Group.objects.create(name="team")
    endpoint.save()
    return endpoint


PLACES = ("endpoint", "secret", "rotation", "download")


def page_of(name: str, row: Any) -> str:
    """Where its list leads to."""
    what = "status" if name == "endpoint" else "change"
    return reverse(f"admin:streams_{name}_{what}", args=[row.pk])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_what_a_group_operates_is_not_there_for_others(closed: Endpoint, role: Role) -> None:
    client, user = Client(), person(role)
    client.force_login(user)
    rows = {"endpoint": closed, "secret": Secret.objects.get(), "rotation": Rotation.objects.get()}
    rows["download"] = Download.objects.get()

    for name in PLACES:
        listed = client.get(reverse(f"admin:streams_{name}_changelist")).content.decode()
        address = page_of(name, rows[name])
        assert address not in listed
        assert client.get(address).status_code == 302
        change = reverse(f"admin:streams_{name}_change", args=[rows[name].pk])
        assert client.get(change).status_code == 302
    address = f"/operate/streams/secret/{rows['secret'].pk}/rotate/"
    rotating = client.post(address, {"what": "start"})
    assert rotating.status_code in {403, 404}
    assert client.get(reverse("admin:streams_auditentry_changelist")).status_code == 403
    assert not Endpoint.objects.visible_to(user).exists()
    assert not Rotation.objects.open().exists()


def test_a_secret_that_anothers_gateway_sends_is_not_there_either(closed: Endpoint) -> None:
    client = client_of(Role.OPERATOR)
    gateway = "https://abc.execute-api.eu-central-1.amazonaws.com/prod/orders"
    Endpoint.objects.filter(pk=closed.pk).update(
        kind="gateway", url=gateway, auth="none", secret=None
    )
    secret = Secret.objects.get()
    secret.gateways.create(type="http", api_id="abc", integration_id="i", stage="p", url=gateway)

    listed = client.get(reverse("admin:streams_secret_changelist")).content.decode()
    rotating = client.post(f"/operate/streams/secret/{secret.pk}/rotate/", {"what": "start"})

    assert page_of("secret", secret) not in listed
    assert rotating.status_code == 404
    assert not Rotation.objects.open().exists()


def test_what_a_group_operates_is_named_to_nobody_else(closed: Endpoint) -> None:
    """Where it stands beside something else."""
    client, bob = client_of(Role.VIEWER), person("end user", "bob")
    other = Endpoint.objects.create(slug="b", title="Other", kind="http", url="https://b.example/")
    tokens.issue(bob, scope=Scope.CHOSEN, exports=[closed, other])
    for endpoint in (closed, other):
        expires_at = timezone.now() + timedelta(days=1)
        links.issue(bob, endpoint, query="", expires_at=expires_at, most=1)
    token = ApiToken.objects.get(user=bob)

    pages = [
        client.get(reverse("admin:streams_sharelink_changelist")).content.decode(),
        client.get(reverse("admin:streams_apitoken_change", args=[token.pk])).content.decode(),
    ]

    assert all("Other" in page for page in pages)
    assert not any(closed.title in page for page in pages)


@pytest.mark.parametrize(
    ("listed", "column"),
    [
        ("apitoken_changelist", "digest"),
        ("apitoken_csv", "digest"),
        ("sharelink_changelist", "digest"),
        ("sharelink_changelist", "passcode"),
        ("user_changelist", "password"),
        ("user_json", "password"),
    ],
)
def test_no_filter_tells_what_no_page_shows(listed: str, column: str) -> None:
    """A hash, a letter at a time."""
    address = reverse(f"admin:streams_{listed}")

    answer = client_of(Role.ADMINISTRATOR).get(address, {f"{column}__startswith": "a"})

    assert answer.status_code == 400


@pytest.mark.parametrize("who", ["member", "administrator"])
def test_what_a_group_operates_is_there_for_its_members(closed: Endpoint, who: str) -> None:
    user = person(Role.ADMINISTRATOR if who == "administrator" else Role.OPERATOR)
    if who == "member" and closed.operators:
        user.groups.add(closed.operators)
    client = Client()
    client.force_login(user)

    rows = {"endpoint": closed, "secret": Secret.objects.get(), "rotation": Rotation.objects.get()}
    rows["download"] = Download.objects.get()

    for name in PLACES:
        listed = client.get(reverse(f"admin:streams_{name}_changelist")).content.decode()
        assert page_of(name, rows[name]) in listed, name
    assert Endpoint.objects.visible_to(user).exists()
    assert client.get(reverse("admin:streams_auditentry_changelist")).status_code == 200


def test_a_group_that_operates_something_is_not_deleted(closed: Endpoint) -> None:
    client = client_of(Role.ADMINISTRATOR)

    client.post(reverse("admin:auth_group_delete", args=[closed.operators_id]), {"post": "yes"})

    assert Group.objects.filter(name="team").exists()


def changed(client: Client, endpoint: Endpoint, **fields: str) -> Any:
    form = ENDPOINT_FORM | {
        "title": endpoint.title, "slug": endpoint.slug, "kind": endpoint.kind,
        "url": endpoint.url, "auth": endpoint.auth, "secret": str(endpoint.secret_id),
    }  # fmt: skip
    return client.post(
        reverse("admin:streams_endpoint_change", args=[endpoint.pk]), {**form, **fields}
    )


def test_an_operator_edits_an_endpoint_but_not_where_a_secret_is_sent() -> None:
    """Whoever could would send it to themselves."""
    client, endpoint = client_of(Role.OPERATOR), Endpoint.objects.get()

    assert changed(client, endpoint, title="All orders").status_code == 302
    refused = changed(client, endpoint, url="https://attacker.example/")
    added = client.post(
        reverse("admin:streams_endpoint_add_all"),
        ENDPOINT_FORM | {"auth": "secret-header", "secret": str(endpoint.secret_id)},
    )

    for answer in (refused, added):
        assert "is for an administrator to say" in answer.content.decode()
    endpoint.refresh_from_db()
    assert (endpoint.title, endpoint.url) == ("All orders", "https://example.com/")
    assert Endpoint.objects.count() == 1

    administrator = client_of(Role.ADMINISTRATOR)
    assert changed(administrator, endpoint, url="https://example.org/").status_code == 302


@pytest.mark.parametrize(
    "elsewhere", [{"role_arn": "arn:aws:iam::999999999999:role/own"}, {"region": "eu-west-1"}]
)
def test_an_operator_has_no_secret_sent_to_a_function_elsewhere(elsewhere: dict[str, str]) -> None:
    """One of the same name: in another account, by its role, or in another region."""
    endpoint = Endpoint.objects.get()
    place = {"url": "", "function": "orders", "region": "eu-central-1"}
    Endpoint.objects.update(kind="lambda", auth="sigv4", **place)
    endpoint.refresh_from_db()

    refused = changed(client_of(Role.OPERATOR), endpoint, **(place | elsewhere))

    assert "is for an administrator to say" in refused.content.decode()
    endpoint.refresh_from_db()
    assert (endpoint.role_arn, endpoint.region) == ("", "eu-central-1")


def test_an_operator_shuts_nobody_out() -> None:
    team = Group.objects.create(name="team")
    endpoint = Endpoint.objects.get()

    changed(client_of(Role.OPERATOR), endpoint, operators=str(team.pk))
    endpoint.refresh_from_db()
    assert endpoint.operators is None

    changed(client_of(Role.ADMINISTRATOR), endpoint, operators=str(team.pk))
    endpoint.refresh_from_db()
    assert endpoint.operators == team


def test_an_operator_rotates_and_has_notices_tried_again() -> None:
    client = client_of(Role.OPERATOR)

    client.post(f"/operate/streams/secret/{Secret.objects.get().pk}/rotate/", {"what": "start"})
    Notice.objects.update(given_up_at="2026-01-01T00:00:00Z")
    client.post(
        reverse("admin:streams_notice_changelist"),
        {"action": "try_again", "_selected_action": [str(Notice.objects.get().pk)]},
    )

    assert Rotation.objects.open().exists()
    assert Notice.objects.get().given_up_at is None
    assert Channel.objects.count() == 1
