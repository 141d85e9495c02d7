"""The doctor's pages at /operate/: what was found, whether a run is under way, and who may ask."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.celery import app
from streams.doctor import storing
from streams.doctor.checks import Found
from streams.doctor.run import judged
from streams.models import Checkup, Endpoint, Health, User, Why
from tests.admin.test_admin import ENDPOINT_FORM
from tests.doctor.test_checks import ENDPOINT, FUNCTION, OTHER, VALUE, configured

pytestmark = pytest.mark.django_db(transaction=True)

PORTAL = "/operate/doctor/"
BROKEN = configured(variables={"SECRET_HEADER": OTHER})


@pytest.fixture(autouse=True)
def _nobody_hears() -> Iterator[None]:
    made = Celery("tests", broker="memory://")
    made.set_current()
    yield
    app.set_current()


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/"
    )


def page_of(endpoint: Endpoint) -> str:
    return f"/operate/streams/endpoint/{endpoint.pk}/doctor/"


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def found(endpoint: Endpoint | None, *subjects: Any, **changes: Any) -> Checkup:
    row, _ = Checkup.objects.get_or_create(endpoint=endpoint)
    storing.record(row, judged(subjects), why=Why.SCHEDULE, seconds=1.5)
    Checkup.objects.filter(pk=row.pk).update(**changes)
    return row


def test_before_the_first_run_that_is_said(operator: Client, endpoint: Endpoint) -> None:
    for path in (page_of(endpoint), PORTAL):
        told = text(operator, path)

        assert "It has not been examined yet." in told
        assert "Run now" in told
    assert not Checkup.objects.exists()


def test_what_was_found_is_shown_with_the_way_to_mend_it(
    operator: Client, endpoint: Endpoint
) -> None:
    found(endpoint, FUNCTION, ENDPOINT)
    found(endpoint, configured(state="Failed"), ENDPOINT)
    found(endpoint, BROKEN, ENDPOINT)

    told = text(operator, page_of(endpoint))

    assert "</span>failing</span>" in told
    assert "1 finding<" in told
    assert "holds another value than this portal" in told
    assert "there: fingerprint " in told
    assert "The function refuses what this portal and its gateways send." in told
    assert "<pre>manage.py rotate orders --repair</pre>" in told
    assert '<span class="new">new</span>' in told
    assert (
        "AWS could not make the function orders-export ready: it is in state Failed." in told
    )  # what is gone
    assert "It is called without an alias." in told  # why a check was skipped
    assert "A download begins (endpoint orders)" in told  # what passed
    assert OTHER not in told
    assert VALUE not in told


def test_an_earlier_run_can_be_looked_at(operator: Client, endpoint: Endpoint) -> None:
    row = found(endpoint, BROKEN, ENDPOINT)
    found(endpoint, FUNCTION, ENDPOINT)
    first = row.runs.last()
    assert first is not None

    told = text(operator, f"{page_of(endpoint)}?run={first.pk}")

    assert "This is what a run found that ended" in told
    assert "holds another value than this portal" in told
    other = found(None, FUNCTION).runs.get()
    for path in (f"{page_of(endpoint)}?run={other.pk}", "/operate/streams/endpoint/x/doctor/"):
        assert operator.get(path).status_code == 404


@pytest.mark.parametrize(
    ("seconds", "leased", "sentence"),
    [
        (5, False, "Waiting for a worker to take it."),
        (240, False, "No worker has taken it for 4 minutes. Start manage.py worker"),
        (240, True, "Being examined, since 2 minutes."),
    ],
)
def test_while_somebody_waits_the_page_says_for_what(
    operator: Client, endpoint: Endpoint, seconds: int, leased: bool, sentence: str
) -> None:
    now = timezone.now()
    asked: dict[str, Any] = {"asked_at": now - timedelta(seconds=seconds)}
    if leased:
        asked |= {"began_at": now - timedelta(minutes=2), "lease_until": now + timedelta(minutes=1)}
    found(endpoint, FUNCTION, ENDPOINT, **asked)

    told = text(operator, page_of(endpoint))

    assert sentence in told
    assert 'data-progress=""' not in told
    assert "0 findings" in told


def test_what_was_found_long_ago_says_nothing_of_now(operator: Client, endpoint: Endpoint) -> None:
    found(endpoint, FUNCTION, ENDPOINT, looked_at=Now() - timedelta(days=2))

    told = text(operator, page_of(endpoint))

    assert "</span>unknown</span>" in told
    assert "too long ago to tell how it is now" in told


def test_a_run_is_asked_for_by_a_post_alone(operator: Client, endpoint: Endpoint) -> None:
    for path, examined in ((page_of(endpoint), endpoint), (PORTAL, None)):
        operator.get(path)
        assert not Checkup.objects.due().filter(endpoint=examined).exists()

        answer = operator.post(path)

        assert (answer.status_code, answer["Location"]) == (302, path)
        row = Checkup.objects.due().get(endpoint=examined)
        assert (row.why, row.asked_by) == (Why.DEMAND, "op")
        assert "Waiting for a worker" in text(operator, path)


def test_a_run_needs_a_token_and_the_right_to_change(endpoint: Endpoint) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("op"))
    viewer = User.objects.create_user("viewer", is_staff=True)
    rights = Permission.objects.filter(codename__in=["view_endpoint", "view_checkup"])
    viewer.user_permissions.set(rights)
    reader, stranger = Client(), Client()
    reader.force_login(viewer)
    stranger.force_login(User.objects.create_user("new", is_staff=True))

    for path in (page_of(endpoint), PORTAL):
        assert strict.post(path).status_code == 403
        assert "Run now" not in text(reader, path)
        assert reader.post(path).status_code == 403
        assert stranger.get(path).status_code == 403
        assert stranger.post(path).status_code == 403

    assert not Checkup.objects.exists()
    assert "/operate/doctor/" not in text(stranger, "/operate/")


def test_the_list_of_endpoints_begins_with_what_fails_and_costs_the_same_for_many(
    operator: Client, endpoint: Endpoint, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        slug = f"a{number}"
        well = Endpoint.objects.create(slug=slug, title=slug, kind="http", url="https://e.com/")
        Checkup.objects.create(endpoint=well, health=Health.HEALTHY, looked_at=Now())
    found(endpoint, BROKEN, ENDPOINT)
    listed = reverse("admin:streams_endpoint_changelist")

    with django_assert_max_num_queries(9):
        told = text(operator, listed)

    listing = told[told.index('id="result_list"') :]
    assert listing.index(page_of(endpoint)) < listing.index("healthy</span>")
    assert "just now" in told
    only = text(operator, f"{listed}?health=failing")
    assert page_of(endpoint) in only
    assert "healthy</span>" not in only[only.index('id="result_list"') :]
    with django_assert_max_num_queries(9):
        portal = text(operator, PORTAL)
    assert "</span>failing</span>" in portal
    assert portal.count("/doctor/") == 2  # the menu, and the one that is not healthy


def test_what_is_found_is_shown_as_text(operator: Client, endpoint: Endpoint) -> None:
    row = found(endpoint, BROKEN, ENDPOINT)
    run = row.runs.get()
    hostile = Found("<script>alert(1)</script>", "<b>", evidence=("<i>",), cli=("<u>",))
    run.report["findings"][0] |= {
        "sentence": hostile.sentence, "fix": hostile.fix, "evidence": hostile.evidence,
        "cli": hostile.cli, "terraform": "<s>",
    }  # fmt: skip
    run.save()

    told = text(operator, page_of(endpoint))

    for tag in ("<script>alert", "<b>", "<i>", "<u>", "<s>"):
        assert tag not in told
    assert "&lt;s&gt;" in told


def test_saving_an_endpoint_has_it_examined(operator: Client, endpoint: Endpoint) -> None:
    found(endpoint, FUNCTION, ENDPOINT)
    assert not Checkup.objects.due().exists()

    address = reverse("admin:streams_endpoint_change", args=[endpoint.pk])
    answer = operator.post(address, {**ENDPOINT_FORM, "slug": "orders"})

    assert answer.status_code == 302, answer.content.decode()
    assert Checkup.objects.due().get(endpoint=endpoint).why == Why.CHANGE
