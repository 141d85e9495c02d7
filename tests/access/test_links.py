"""Share links: found by key, proven by digest, bound to what they were made for."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import IntegrityError
from django.utils import timezone

from streams.access import links
from streams.access.links import Given, LinkUnusableError, PasscodeError
from streams.models import Endpoint, ShareLink, User
from streams.models.links import PERIOD, TRIES

pytestmark = pytest.mark.django_db

PASSCODE = "canary-passcode"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def orders(ann: User) -> Endpoint:
    analysts = Group.objects.create(name="analysts")
    ann.groups.add(analysts)
    made = Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/", shareable=True
    )
    made.readers.add(analysts)
    return made


def issue(user: User, endpoint: Endpoint, **fields: Any) -> str:
    given: dict[str, Any] = {
        "query": "from=2026",
        "expires_at": timezone.now() + timedelta(days=1),
        "most": 1,
    }
    return links.issue(user, endpoint, **(given | fields))


def refusal(link: ShareLink, **given: str) -> str:
    try:
        links.check(link, Given(**given))
    except PasscodeError as exc:
        return exc.code
    return ""


def test_a_link_is_found_and_nothing_like_it(ann: User, orders: Endpoint) -> None:
    text = issue(ann, orders)
    other = issue(ann, orders)

    assert links.find(text).endpoint == orders
    key, secret = text.split("_", 1)
    strange = (f"{key}_{other.split('_', 1)[1]}", f"{text}A", text.upper(), key, "", f"{text}\n")
    for wrong in (*strange, f"{'0' * 12}_{secret}"):
        with pytest.raises(LinkUnusableError):
            links.find(wrong)


@pytest.mark.parametrize(
    "changed",
    [
        {"query": "from=1999"},
        {"most": 1000},
        {"expires_at": timezone.now() + timedelta(days=3650)},
        {"endpoint": 0},
    ],
)
def test_a_row_that_was_changed_opens_nothing(
    ann: User, orders: Endpoint, changed: dict[str, Any]
) -> None:
    """Whoever writes into the database cannot make more of a link than it was made for."""
    other = Endpoint.objects.create(
        slug="other", title="O", kind="http", url="https://x.example/", shareable=True
    )
    other.readers.add(*Group.objects.filter(name="analysts"))
    text = issue(ann, orders)
    if "endpoint" in changed:
        changed = {"endpoint": other}

    ShareLink.objects.update(**changed)

    with pytest.raises(LinkUnusableError):
        links.find(text)


@pytest.mark.parametrize(
    "spoil",
    ["expired", "revoked", "inactive", "left the group", "disabled", "not shareable", "deleted"],
)
def test_a_link_ends_with_its_time_and_with_its_makers_rights(
    ann: User, orders: Endpoint, spoil: str
) -> None:
    soon = timezone.now() + timedelta(days=1)
    text = issue(ann, orders, expires_at=timezone.now() if spoil == "expired" else soon)
    if spoil == "revoked":
        ShareLink.objects.update(revoked_at=timezone.now())
    elif spoil == "inactive":
        User.objects.update(is_active=False)
    elif spoil == "left the group":
        ann.groups.clear()
    elif spoil == "disabled":
        Endpoint.objects.update(enabled=False)
    elif spoil == "not shareable":
        Endpoint.objects.update(shareable=False)
    elif spoil == "deleted":
        ann.delete()

    with pytest.raises(LinkUnusableError):
        links.find(text)


def test_what_may_not_be_shared_is_shared_by_operators_alone(ann: User, orders: Endpoint) -> None:
    Endpoint.objects.update(shareable=False)
    orders.refresh_from_db()
    assert not links.may_share(ann, orders)

    ann.user_permissions.add(Permission.objects.get(codename="change_endpoint"))

    assert links.may_share(User.objects.get(), orders)


def test_a_passcode_is_asked_for_and_remembered(ann: User, orders: Endpoint) -> None:
    issue(ann, orders, passcode=PASSCODE)
    link = ShareLink.objects.get()

    assert refusal(link) == "passcode_required"
    assert refusal(link, passcode="guess") == "passcode_wrong"
    assert refusal(link, passcode=PASSCODE) == ""
    kept = links.passed(link)
    assert refusal(link, pass_=kept) == ""
    assert refusal(link, pass_=kept + "x") == "passcode_required"
    issue(ann, orders, passcode=PASSCODE)
    assert refusal(ShareLink.objects.first() or link, pass_=kept) == "passcode_required"


def test_five_wrong_passcodes_and_no_more_are_tried_for_a_while(
    ann: User, orders: Endpoint
) -> None:
    issue(ann, orders, passcode=PASSCODE)
    link = ShareLink.objects.get()

    told = [refusal(link, passcode=f"guess {n}") for n in range(TRIES)]

    assert told == ["passcode_wrong"] * TRIES
    assert refusal(link, passcode=PASSCODE) == "passcode_limited"
    ShareLink.objects.update(tries_since=timezone.now() - PERIOD - timedelta(seconds=1))
    assert refusal(link, passcode=PASSCODE) == ""
    # Right ones cost nothing.
    assert [refusal(link, passcode=PASSCODE) for _ in range(TRIES * 2)] == [""] * TRIES * 2


def test_a_link_without_a_download_is_refused_by_the_database(ann: User, orders: Endpoint) -> None:
    with pytest.raises(IntegrityError, match="share_link_allows_some"):
        issue(ann, orders, most=0)
