"""The page of one's own downloads."""

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from streams.models import Endpoint, ShareLink, User
from streams.views.history import SHOWN
from tests.pages.test_pages import download, export

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def browser(client: Client, ann: User) -> Client:
    client.force_login(ann)
    return client


def page_of(browser: Client, query: str = "") -> str:
    return browser.get(f"/downloads/{query}").content.decode()


def test_it_tells_when_how_much_what_became_of_it_and_its_checksum(
    browser: Client, ann: User
) -> None:
    orders = export("orders", everyone=True)
    assert "You have downloaded nothing yet" in page_of(browser)
    download(orders, ann, size=2_000_000, sha256="ab" * 32, filename="orders-2026.csv")
    cut = {"state": "cut", "reason": "truncated", "sent": 5, "size": 10_000}
    download(orders, ann, **cut, first=1000, sha256="cd" * 32)

    page = page_of(browser)

    for words in ("orders-2026.csv", "2.0 MB of 2.0 MB", "ab" * 32, "cut", "5 B of 10 kB"):
        assert words in page
    assert "The source stopped before the end of the file." in page
    assert "resumed at 1 kB" in page
    assert "cd" * 32 not in page
    assert 'href="/exports/orders/"' in page


def test_it_is_ones_own_and_without_what_others_fetched_by_ones_links(
    browser: Client, ann: User
) -> None:
    orders = export("orders", everyone=True)
    link = ShareLink.objects.create(
        user=ann, endpoint=orders, key="k", most=1, expires_at=timezone.now()
    )
    download(orders, User.objects.create_user("ben"), filename="bens.csv")
    for number, counted in enumerate((True, False)):
        download(orders, ann, link=link, counted=counted, filename=f"linked-{number}.csv")

    page = page_of(browser)
    Endpoint.objects.all().delete()

    for shown in (page, page_of(browser)):
        assert "bens.csv" not in shown
        assert "linked" not in shown


def test_what_one_may_have_no_more_is_told_without_its_title(browser: Client, ann: User) -> None:
    download(export("orders", everyone=True, title="Secret title"), ann)
    download(export("gone", everyone=True), ann)
    Endpoint.objects.filter(slug="orders").update(everyone=False)
    Endpoint.objects.filter(slug="gone").delete()

    page = page_of(browser)

    assert "orders" in page
    assert "gone" in page
    assert "Secret title" not in page
    assert "Again" not in page


def test_many_are_shown_a_page_at_a_time_at_the_same_cost(
    browser: Client, ann: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    orders = export("orders", everyone=True)
    for number in range(SHOWN + 1):
        download(orders, ann, filename=f"number-{number}.csv")

    with django_assert_max_num_queries(7):
        first = page_of(browser)
    second = page_of(browser, "?page=2")

    assert "Page 1 of 2" in first
    assert f"number-{SHOWN}.csv" in first
    assert "number-0.csv" not in first
    assert "number-0.csv" in second


def test_a_stranger_is_sent_to_sign_in(client: Client) -> None:
    assert client.get("/downloads/")["Location"] == "/accounts/login/?next=/downloads/"
