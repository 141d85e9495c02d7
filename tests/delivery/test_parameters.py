"""What end users may choose of an export: checked at its page and at its download."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from streams.access.identity import Identity
from streams.access.links import Given, LinkUnusableError
from streams.delivery import parameters, sharing
from streams.delivery.conditions import Asked
from streams.delivery.downloads import permit, permit_link
from streams.delivery.parameters import ParametersError
from streams.models import Download, Endpoint, ShareLink, User
from streams.origins.invocation import _event
from streams.registry.apply import apply
from streams.registry.export import export
from streams.registry.parse import RegistryError, parse

pytestmark = pytest.mark.django_db

PARAMS: list[dict[str, Any]] = [
    {"name": "from", "label": "Since", "type": "date", "required": True},
    {"name": "most", "type": "number"},
    {"name": "form", "type": "choice", "choices": ["csv", "json"], "default": "csv"},
    {"name": "who", "label": "Customer"},
]


ONE = "version: 1\nendpoints:\n  - {slug: a, title: A, groups: '*', %s}\n"


@pytest.fixture
def orders() -> Endpoint:
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/", everyone=True,
        params=PARAMS, shareable=True,
    )  # fmt: skip


def asked(query: str) -> Asked:
    return Asked(query, None, None, None, None, head_only=False)


@pytest.fixture
def browser(client: Client, orders: Endpoint) -> Client:
    client.force_login(User.objects.create_user("ann"))
    return client


@pytest.mark.parametrize(
    ("query", "passed"),
    [
        ("from=2026-01-31", "from=2026-01-31&form=csv"),
        ("form=json&from=2026-01-31", "from=2026-01-31&form=json"),
        ("from=2026-1-5&most=-0.5&form=", "from=2026-01-05&most=-0.5"),
        ("from=2026-01-31&who=M%C3%BC+%26+Co", "from=2026-01-31&form=csv&who=M%C3%BC%20%26%20Co"),
    ],
)  # fmt: skip
def test_what_is_chosen_is_passed_in_the_order_of_the_registry(
    orders: Endpoint, query: str, passed: str
) -> None:
    assert parameters.checked(orders, query) == passed


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("", "from: This field is required"),
        ("from=", "from: This field is required"),
        ("from=31.1.2026", "from: Enter a date"),
        ("from=2026-02-30", "from: Enter a date"),
        ("from=2026-01-31&most=1e9", "most: Enter a number"),
        ("from=2026-01-31&most=NaN", "most: Enter a number"),
        ("from=2026-01-31&most=١٢", "most: Enter a number"),
        ("from=2026-01-31&form=xml", "form: Select a valid choice"),
        ("from=2026-01-31&from=2026-02-01", "from: Give it once"),
        ("from=2026-01-31&admin=true", "There is no parameter admin"),
        ("from=2026-01-31&who=" + "x" * 1001, "who: Ensure"),
        ("from=2026-01-31&who=%00", "who: Null characters"),
    ],
)
def test_what_is_not_offered_is_refused_at_the_page_and_at_the_download(
    browser: Client, orders: Endpoint, query: str, problem: str
) -> None:
    with pytest.raises(ParametersError, match=problem):
        parameters.checked(orders, query)

    with pytest.raises(ParametersError, match=problem):
        permit(Identity(User.objects.get()), "orders", asked(query))
    assert not Download.objects.exists()
    page = browser.get(f"/exports/orders/?{query}")
    assert page.status_code == (400 if query else 200)
    assert b'id="download"' not in page.content
    assert (
        browser.post(f"/exports/orders/share?{query}", {"days": "7", "most": "1"}).status_code
        == 302
    )
    assert not ShareLink.objects.exists()


def test_where_nothing_is_declared_the_query_goes_to_the_origin_as_it_is(orders: Endpoint) -> None:
    orders.params = []

    assert parameters.checked(orders, "x=1&x=2&y") == "x=1&x=2&y"


def test_the_form_keeps_what_was_chosen_in_the_address(browser: Client) -> None:
    first = browser.get("/exports/orders/").content.decode()
    chosen = browser.get(
        "/exports/orders/?from=2026-01-31&most=&form=json&who=%22%3E"
    ).content.decode()

    assert "Choose first" in first
    assert 'role="alert"' not in first
    assert 'type="date"' in first
    assert '<option value="csv" selected>' in first
    assert 'value="2026-01-31"' in chosen
    kept = "from=2026-01-31&amp;form=json&amp;who=%22%3E"
    assert f'href="/exports/orders/download?{kept}"' in chosen
    assert f'href="http://testserver/exports/orders/?{kept}"' in chosen
    assert 'value="&quot;&gt;"' in chosen


def test_what_is_wrong_stands_beside_its_field_and_in_a_summary_with_focus(browser: Client) -> None:
    page = browser.get("/exports/orders/?from=yesterday&who=ann").content.decode()

    assert 'role="alert" tabindex="-1" autofocus' in page
    assert '<a href="#id_from">Since</a>: Enter a date' in page
    assert 'aria-describedby="id_from_error"' in page
    assert 'value="ann"' in page, "what was entered is lost"


def test_a_link_is_bound_to_what_was_chosen_and_ends_when_that_is_offered_no_more(
    browser: Client, orders: Endpoint
) -> None:
    browser.post("/exports/orders/share?from=2026-01-31", {"days": "7", "most": "1"})
    assert ShareLink.objects.get().query == "from=2026-01-31&form=csv"

    soon = timezone.now() + timedelta(days=1)
    text = sharing.make(
        User.objects.get(), orders, query="from=2026-01-31&form=xml", expires_at=soon, most=1
    )
    with pytest.raises(LinkUnusableError):
        permit_link(text, Given(), asked(""))


def test_an_invoked_function_gets_them_as_its_url_would_give_them() -> None:
    event = _event("GET", "from=2026-01-31&x=1&x=2&who=", {"User-Agent": "S"}).decode()

    assert '"rawQueryString":"from=2026-01-31&x=1&x=2&who="' in event
    assert '"queryStringParameters":{"from":"2026-01-31","x":"1,2","who":""}' in event


def test_the_registry_takes_them_and_gives_them_back() -> None:
    params = (
        "[{name: from, type: date, default: '2026-01-31'}, {name: n, type: number, required: true}]"
    )

    apply(parse(ONE % f"kind: http, url: 'https://example.com/', params: {params}"))

    assert [str(change) for change in apply(parse(export()))] == ["unchanged endpoint a"]
    assert parameters.checked(Endpoint.objects.get(), "n=1") == "from=2026-01-31&n=1"


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("[{name: n, type: number, default: many}]", "a default that is a number"),
        ("[{name: d, type: date, default: '2026-02-30'}]", "a default that is a date"),
        ("[{name: a, default: ''}]", "a default that says something"),
        ("[{name: a}, {name: a}]", "a name of their own"),
    ],
)
def test_a_default_fits_its_type(params: str, problem: str) -> None:
    http = "kind: http, url: 'https://example.com/'"
    with pytest.raises(RegistryError, match=problem):
        parse(ONE % f"{http}, params: {params}")


def test_an_object_of_s3_has_no_parameters() -> None:
    s3 = "kind: s3, bucket: bbb, key: k, region: eu-central-1"
    with pytest.raises(RegistryError, match="no params for kind s3"):
        parse(ONE % f"{s3}, params: [{{name: a}}]")
