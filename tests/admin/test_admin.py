"""The operators' pages: they show, a GET changes nothing, and no secret is ever in one."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core import serializers
from django.db import models
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from streams.access import links, tokens
from streams.models import (
    ApiToken,
    Channel,
    Download,
    DriftCheck,
    Endpoint,
    Gateway,
    Grant,
    Notice,
    Rotation,
    RotationEvent,
    Secret,
    SecretFunction,
    Setup,
    User,
)
from streams.rotation import starting

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "v" * 32
# By their names in that language.
ACCESS = {
    "en": ["ApiToken", "Group", "ShareLink", "User"],
    "de": ["ApiToken", "User", "ShareLink", "Group"],
}
KEY = "whsec_" + "Y2FuYXJ5" * 5 + "Y2E="


@pytest.fixture(autouse=True)
def world() -> None:
    """One row at least of everything."""
    ann = User.objects.create_user("ann")
    analysts = Group.objects.create(name="analysts")
    secret = Secret.objects.create(name="orders")
    secret.set_value("previous-" + VALUE)
    secret.set_value(VALUE)
    SecretFunction.objects.create(secret=secret, name="orders-export")
    Gateway.objects.create(
        secret=secret, type="http", api_id="a1", integration_id="i1", stage="$default"
    )
    endpoint = Endpoint.objects.create(
        slug="orders",
        title="Orders",
        kind="function-url",
        url="https://example.com/",
        auth="secret-header",
        secret=secret,
    )
    Grant.objects.create(endpoint=endpoint, group=analysts)
    rotation = starting.start(secret, by="ann")
    RotationEvent.objects.create(rotation=rotation, step="preflight", text="All is well.")
    Rotation.objects.update(state="completed", finished_at=timezone.now())
    channel = Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    Channel.objects.update(key=KEY)
    Notice.objects.test(channel, by="ann")
    tokens.issue(ann, name="cron")
    links.issue(
        ann, endpoint, query="", expires_at=timezone.now() + timedelta(days=1), most=1,
        passcode=VALUE,
    )  # fmt: skip
    Setup.objects.create(slug="new", function="new-export", request={}, requested_by="ann")
    Download.objects.create(
        endpoint=endpoint, slug="orders", user=ann, username="ann", state="complete", sent=5,
        finished_at=timezone.now(),
    )  # fmt: skip


def pages() -> Iterator[str]:
    """Every address of the admin that a GET may reach."""
    yield reverse("admin:index")
    yield f"/operate/streams/secret/{Secret.objects.get().pk}/rotate/"
    yield reverse("admin:doctor")
    for what in ("doctor", "status"):
        yield reverse(f"admin:streams_endpoint_{what}", args=[Endpoint.objects.get().pk])
    for what in ("test", "key"):
        yield f"/operate/streams/channel/{Channel.objects.get().pk}/{what}/"
    for model, made in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield reverse(f"{name}_add")
        row = model._default_manager.first()
        assert row is not None, f"the test's world has no {model.__name__}"
        for what in ("change", "delete", "history"):
            yield reverse(f"{name}_{what}", args=[row.pk])
        assert made.search_fields or model is Group
        yield reverse(f"{name}_changelist") + "?q=x"


def stored() -> str:
    """All rows of all tables, but for sessions, the cache and the sign-in's own time."""
    passing = {"sessions.Session", "streams.CacheRow"}
    tables: list[type[models.Model]] = [
        model for model in apps.get_models() if model._meta.label not in passing
    ]
    rows = [row for model in tables for row in model._default_manager.order_by("pk")]
    return str(serializers.serialize("json", rows))


def test_the_likely_cause_of_a_failed_download_is_shown(operator: Client) -> None:
    found = {"cause": "permission-invoke", "diagnosis": "The second statement is missing."}
    Download.objects.update(state="failed", **found)
    download = Download.objects.get()

    row = operator.get(reverse("admin:streams_download_change", args=[download.pk]))
    rows = operator.get(reverse("admin:streams_download_changelist"))

    assert b"The second statement is missing." in row.content
    assert b"permission-invoke" in rows.content


def test_every_page_opens_and_changes_nothing(operator: Client) -> None:
    before = stored()

    for path in pages():
        answer = operator.get(path)
        # Downloads and tokens are records: they can be neither added nor deleted.
        assert answer.status_code in {200, 403}, path
        for hidden in (VALUE, KEY):
            assert hidden not in answer.content.decode(), path

    assert stored() == before


def lookups(made: Any) -> Iterator[str]:
    """What an address may ask of a list with a number."""
    yield "p"
    yield "pk__in"
    for field in made.model._meta.get_fields():
        if field.is_relation:
            yield from (f"{field.name}__exact", f"{field.name}__in")
        elif isinstance(field, models.IntegerField):
            yield f"{field.name}__gte"
        elif isinstance(field, models.DateTimeField):
            yield f"{field.name}__year"
    for one in made.list_filter:
        if isinstance(one, type) and issubclass(one, admin.SimpleListFilter):
            yield str(one.parameter_name)


def test_a_number_that_no_database_holds_is_no_error(operator: Client) -> None:
    big = "9" * 25
    for model, made in admin.site._registry.items():
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for lookup in lookups(made):
            answer = operator.get(page, {lookup: big})
            # Some are allowed nobody, and some are of what is in range for no row.
            assert answer.status_code in {200, 302, 400}, f"{page} {lookup}"

    answer = operator.get("/operate/streams/download/", {"endpoint__exact": big})
    assert answer["Location"] == "/operate/streams/download/?e=1"
    answer = operator.get("/operate/streams/download/csv/", {"endpoint__exact": big})
    assert answer.status_code == 400


def test_the_index_shows_all_that_operators_work_with(operator: Client) -> None:
    page = operator.get("/operate/").content.decode()

    for name in ("Endpoints", "Secrets", "Groups", "Downloads", "API tokens", "Users", "Notices"):
        assert name in page


@pytest.mark.parametrize(("language", "name"), [("en", "Access"), ("de", "Zugang")])
def test_who_may_have_what_is_in_one_place(operator: Client, language: str, name: str) -> None:
    answer = operator.get("/operate/", HTTP_ACCEPT_LANGUAGE=language)

    listed = {str(app["name"]): app["models"] for app in answer.context["available_apps"]}
    assert [one["object_name"] for one in listed.pop(name)] == ACCESS[language]
    [others] = listed.values()
    assert not {one["object_name"] for one in others} & set(ACCESS[language])
    group = operator.get("/operate/auth/group/", HTTP_ACCEPT_LANGUAGE=language)
    assert "Authenti" not in group.content.decode()


@pytest.mark.parametrize("who", ["nobody", "end user", "staff without rights"])
def test_the_admin_is_for_operators(client: Client, who: str) -> None:
    if who == "end user":
        client.force_login(User.objects.get(username="ann"))
    elif who == "staff without rights":
        client.force_login(User.objects.create_user("new", is_staff=True))

    for path in pages():
        answer = client.get(path)
        index_of_nothing = who == "staff without rights" and path == "/operate/"
        assert answer.status_code in ({200} if index_of_nothing else {302, 403}), path


@pytest.mark.parametrize("model", [Download, ApiToken, Notice, Rotation])
def test_records_are_neither_added_nor_deleted(operator: Client, model: Any) -> None:
    name = f"admin:streams_{model._meta.model_name}"
    row = model.objects.get()

    assert operator.post(reverse(f"{name}_add"), {}).status_code == 403
    assert operator.post(
        reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}
    ).status_code == 403  # fmt: skip
    assert model.objects.count() == 1


def test_a_download_is_not_edited(operator: Client) -> None:
    row = Download.objects.get()

    answer = operator.post(
        reverse("admin:streams_download_change", args=[row.pk]), {"state": "cut", "sent": 1}
    )

    assert answer.status_code == 403
    row.refresh_from_db()
    assert (row.state, row.sent) == ("complete", 5)


def test_a_token_is_revoked(operator: Client) -> None:
    token = ApiToken.objects.get()

    operator.post(
        reverse("admin:streams_apitoken_changelist"),
        {"action": "revoke", "_selected_action": [token.pk]},
    )

    token.refresh_from_db()
    assert token.revoked_at is not None


ENDPOINT_FORM = {
    "title": "New",
    "slug": "new",
    "kind": "http",
    "url": "https://example.com/",
    "auth": "none",
    "delivery": "stream",
    "params": "[]",
    "enabled": "on",
    "grants-TOTAL_FORMS": "0",
    "grants-INITIAL_FORMS": "0",
}


def add_endpoint(operator: Client, **fields: str) -> Any:
    return operator.post(reverse("admin:streams_endpoint_add_all"), {**ENDPOINT_FORM, **fields})


def test_an_endpoint_is_added(operator: Client) -> None:
    answer = add_endpoint(operator, segments='{"size": "5MiB", "parallel": 8}')

    assert answer.status_code == 302, answer.content.decode()
    assert Endpoint.objects.get(slug="new").url == "https://example.com/"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"url": "https://169.254.169.254/latest/"}, "169.254.169.254"),
        ({"url": ""}, "every other kind a URL"),
        ({"kind": "s3", "bucket": "exports", "key": "a"}, "Expected: region for kind s3"),
        ({"auth": "secret-header"}, "A secret header needs a secret"),
        ({"slug": "Not A Slug"}, "Use lower-case letters"),
        ({"slug": "orders"}, "already exists"),
        ({"segments": '{"size": "big", "parallel": 8}'}, "a size such as 5MiB"),
        ({"limits": '{"concurrent": 0}'}, "concurrent"),
        ({"delivery": "redirect"}, "delivery: redirect only for kind s3"),
    ],
)
def test_an_endpoint_that_could_not_work_is_refused(
    operator: Client, fields: dict[str, str], sentence: str
) -> None:
    answer = add_endpoint(operator, **fields)

    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert Endpoint.objects.count() == 1


SECRET_FORM = {
    "name": "orders",
    "header": "x-secret-header",
    "store": "database",
    "function-TOTAL_FORMS": "0",
    "function-INITIAL_FORMS": "0",
    "gateways-TOTAL_FORMS": "0",
    "gateways-INITIAL_FORMS": "0",
    "versions-TOTAL_FORMS": "0",
    "versions-INITIAL_FORMS": "0",
}


def change_secret(operator: Client, **fields: str) -> Any:
    secret = Secret.objects.get(name="orders")
    address = reverse("admin:streams_secret_change", args=[secret.pk])
    return operator.post(address, {**SECRET_FORM, **fields})


def test_a_new_value_becomes_the_current_version(operator: Client) -> None:
    answer = change_secret(operator, new_value="n" * 40)

    assert answer.status_code == 302, answer.content.decode()
    secret = Secret.objects.get(name="orders")
    assert secret.versions.get(state="current").value == "n" * 40
    assert secret.versions.get(state="previous").value == VALUE


def test_an_empty_value_leaves_it_as_it_is(operator: Client) -> None:
    answer = change_secret(operator, new_value="")

    assert answer.status_code == 302
    assert Secret.objects.get(name="orders").versions.get(state="current").value == VALUE


def test_a_value_that_cannot_be_sent_is_refused_and_not_repeated(operator: Client) -> None:
    answer = change_secret(operator, new_value="canary it's")

    assert answer.status_code == 200
    assert "no single quote" in answer.content.decode()
    assert "canary it" not in answer.content.decode()


def test_history_and_messages_hold_no_value(operator: Client) -> None:
    change_secret(operator, new_value="history-canary-" + "n" * 32)

    assert "history-canary" not in stored()
    secret = Secret.objects.get(name="orders")
    history = operator.get(reverse("admin:streams_secret_history", args=[secret.pk]))
    assert "history-canary" not in history.content.decode()


def test_every_post_needs_its_token(operator: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.get(username="op"))
    secret = Secret.objects.get()

    answer = strict.post(reverse("admin:streams_secret_change", args=[secret.pk]), SECRET_FORM)

    assert answer.status_code == 403


def test_the_list_of_secrets_costs_the_same_for_many(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        Secret.objects.create(name=f"s{number}").set_value(VALUE)

    with django_assert_max_num_queries(8):
        operator.get(reverse("admin:streams_secret_changelist"))


def rotate(operator: Client, **fields: str) -> Any:
    return operator.post(f"/operate/streams/secret/{Secret.objects.get().pk}/rotate/", fields)


def test_a_rotation_is_begun_resumed_and_rolled_back(operator: Client) -> None:
    rotate(operator, what="start")
    rotation = Rotation.objects.get(state="running")
    assert (rotation.mode, rotation.requested_by) == ("overlap", "op")

    page = operator.get(f"/operate/streams/secret/{rotation.secret_id}/rotate/").content.decode()
    assert "Roll back" in page
    Rotation.objects.filter(pk=rotation.pk).update(state="stuck", attempts=9)
    rotate(operator, what="resume")
    rotation.refresh_from_db()
    assert (rotation.state, rotation.attempts) == ("running", 0)
    rotate(operator, what="rollback")
    rotation.refresh_from_db()
    assert rotation.roll_back


def test_a_second_rotation_is_refused_in_words(operator: Client) -> None:
    rotate(operator, what="start")
    page = operator.post(
        f"/operate/streams/secret/{Secret.objects.get().pk}/rotate/", {"what": "start"}, follow=True
    ).content.decode()

    assert "A rotation of orders is under way." in page
    assert Rotation.objects.count() == 2


def test_an_emergency_wants_the_name(operator: Client) -> None:
    rotate(operator, what="emergency")
    assert not Rotation.objects.open().exists()

    rotate(operator, what="emergency", name="orders")
    assert Rotation.objects.open().get().mode == "emergency"


def test_a_gap_must_be_accepted(operator: Client) -> None:
    SecretFunction.objects.update(accepts="one")
    page = operator.get(f"/operate/streams/secret/{Secret.objects.get().pk}/rotate/")
    assert "requests through the gateway are refused" in page.content.decode()

    rotate(operator, what="start")
    assert not Rotation.objects.open().exists()
    rotate(operator, what="start", accept_gap="yes")
    assert Rotation.objects.open().get().mode == "gap"


def test_drift_is_shown_and_repaired(operator: Client) -> None:
    secret = Secret.objects.get()
    rotating = f"/operate/streams/secret/{secret.pk}/rotate/"
    assert "Repair" not in operator.get(rotating).content.decode()
    DriftCheck.objects.create(secret=secret, found="Its mapping differs.", found_at=timezone.now())

    listed = operator.get(reverse("admin:streams_secret_changelist")).content.decode()
    page = operator.get(rotating).content.decode()
    rotate(operator, what="repair")

    assert "not looked at yet" in listed
    assert "Its mapping differs." in page
    assert "Repair" in page
    assert Rotation.objects.open().get().mode == "repair"
