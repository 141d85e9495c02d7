"""The pages about share links: made once, seen by their maker, revoked by a POST."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from streams.access import links
from streams.access.links import LinkUnusableError
from streams.access.roles import Role
from streams.delivery import sharing
from streams.models import AuditEntry, Download, Endpoint, ShareLink, User
from tests.pages.test_pages import export

pytestmark = pytest.mark.django_db

FORM = {"days": "7", "most": "2", "passcode": "", "note": "the auditors"}


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="tests-only")


@pytest.fixture
def browser(client: Client, ann: User) -> Client:
    client.force_login(ann)
    return client


@pytest.fixture
def orders() -> Endpoint:
    return export("orders", everyone=True, shareable=True)


def text_of(page: str) -> str:
    found = re.search(r"http://testserver/s/([0-9a-f]{12}_[\w-]{43})<", page)
    assert found is not None, page
    return found[1]


def made(user: User, endpoint: Endpoint, most: int = 1) -> str:
    soon = timezone.now() + timedelta(days=1)
    return sharing.make(user, endpoint, query="", expires_at=soon, most=most)


def test_a_link_is_made_from_the_page_of_its_export_and_shown_once(
    browser: Client, orders: Endpoint
) -> None:
    assert (
        "/exports/orders/share?from=2026"
        in browser.get("/exports/orders/?from=2026").content.decode()
    )

    answer = browser.post("/exports/orders/share?from=2026", FORM)

    text = text_of(answer.content.decode())
    link = links.find(text)
    assert (link.endpoint, link.query, link.most, link.note) == (
        orders, "from=2026", 2, "the auditors"
    )  # fmt: skip
    week = timezone.now() + timedelta(days=7)
    assert abs(link.expires_at - week) < timedelta(minutes=1)
    assert "no-store" in answer["Cache-Control"]
    page = browser.get("/links/").content.decode()
    assert text not in page
    assert "the auditors" in page
    assert "0 of 2 downloads" in page
    assert AuditEntry.objects.get(action="link.added").actor == "ann"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"most": "0"}, "id_most"),
        ({"most": ""}, "id_most"),
        ({"passcode": "short"}, "id_passcode"),
        ({"days": "3650"}, "id_days"),
    ],
)
def test_what_is_wrong_is_told_beside_its_field_and_in_a_summary(
    browser: Client, orders: Endpoint, wrong: dict[str, str], field: str
) -> None:
    page = browser.post("/exports/orders/share", FORM | wrong).content.decode()

    assert f'<a href="#{field}">' in page
    assert f'id="{field}_error"' in page
    assert 'aria-invalid="true"' in page
    assert "the auditors" in page, "what was entered is lost"
    assert not ShareLink.objects.exists()


def test_only_what_may_be_shared_has_the_page(browser: Client) -> None:
    export("mine", everyone=True)
    export("others", shareable=True)

    assert "Share …" not in browser.get("/exports/mine/").content.decode()
    for slug in ("mine", "others", "nothing"):
        assert browser.get(f"/exports/{slug}/share").status_code == 404
        assert browser.post(f"/exports/{slug}/share", FORM).status_code == 404
    assert not ShareLink.objects.exists()


def test_one_revokes_ones_own_links_by_a_post(browser: Client, ann: User, orders: Endpoint) -> None:
    mine, theirs = made(ann, orders), made(User.objects.create_user("ben"), orders)

    page = browser.get("/links/").content.decode()
    assert mine[:12] in page
    assert theirs[:12] not in page
    assert browser.get(f"/links/{mine[:12]}/revoke").status_code == 405
    assert browser.post(f"/links/{theirs[:12]}/revoke").status_code == 404
    assert links.find(mine)
    browser.post(f"/links/{mine[:12]}/revoke")
    browser.post(f"/links/{mine[:12]}/revoke")

    with pytest.raises(LinkUnusableError):
        links.find(mine)
    assert links.find(theirs)
    assert AuditEntry.objects.filter(action="link.revoked").count() == 1
    assert "revoked" in browser.get("/links/").content.decode()


@pytest.mark.parametrize("path", ["/exports/orders/share", "/links/"])
def test_a_stranger_is_sent_to_sign_in(client: Client, orders: Endpoint, path: str) -> None:
    assert client.get(path)["Location"] == f"/accounts/login/?next={path}"


def test_what_comes_by_a_link_is_not_among_ones_own_downloads(
    browser: Client, ann: User, orders: Endpoint
) -> None:
    made(ann, orders, most=2)
    link = ShareLink.objects.get()
    ended = {"state": "complete", "sent": 5, "finished_at": timezone.now(), "address": "1.2.3.4"}
    Download.objects.create(
        endpoint=orders, slug="orders", user=ann, username="ann", link=link, counted=True, **ended
    )

    assert browser.get("/exports/orders/progress").json()["downloads"] == []
    assert "1 of 2 downloads" in browser.get("/links/").content.decode()


def test_operators_see_every_link_and_revoke_it(
    client: Client, ann: User, orders: Endpoint
) -> None:
    text = made(ann, orders)
    operator = User.objects.create_user("op", is_staff=True)
    operator.groups.add(Group.objects.get(name=Role.OPERATOR))
    client.force_login(operator)
    address = "/operate/streams/sharelink/"

    page = client.get(address).content.decode()
    assert text[:12] in page
    assert "0 of 1" in page
    assert text not in page
    chosen = str(ShareLink.objects.get().pk)
    client.post(address, {"action": "revoke", "_selected_action": chosen})

    with pytest.raises(LinkUnusableError):
        links.find(text)
    entry = AuditEntry.objects.get(action="link.revoked")
    assert (entry.actor, entry.what) == ("op", "orders")
    assert admin.site.get_model_admin(ShareLink).search_fields
