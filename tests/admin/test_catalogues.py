"""What an operator is told of a user's catalogue agrees with what that user sees."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import Group
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from streams.access.roles import Role
from streams.models import Checkup, Endpoint, Grant, Health, User
from streams.templatetags.times import exact
from tests.admin.test_roles import person

pytestmark = pytest.mark.django_db


def endpoint(title: str, *groups: str, **fields: object) -> Endpoint:
    made = Endpoint.objects.create(
        slug=title.lower(), title=title, kind="http", url="https://example.com/", **fields
    )
    for name in groups:
        Grant.objects.create(endpoint=made, group=Group.objects.get_or_create(name=name)[0])
    return made


def told(client: Client, user: User) -> dict[str, list[str]]:
    """By title, what stands beside it."""
    page = client.get(reverse("admin:streams_user_exports", args=[user.pk])).content.decode()
    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = (re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr>"))
    plain = ([re.sub(r"<[^>]+>", "", unescape(one)).strip() for one in row] for row in cells)
    return {row[0]: row[1:] for row in plain if row}


def test_it_lists_what_they_may_have_and_why(operator: Client, client: Client) -> None:
    ann = User.objects.create_user("ann")
    endpoint("All", everyone=True)
    endpoint("Both", "analysts", "buyers", "others", everyone=True)
    bad = endpoint("Bad", "analysts")
    Checkup.objects.create(endpoint=bad, health=Health.FAILING, looked_at=Now())
    endpoint("Off", "analysts", enabled=False)
    for title, days in (("Lent", 2), ("Over", -2)):
        end = timezone.now() + timedelta(days=days)
        endpoint(title, "analysts").grants.update(expires_at=end)
    endpoint("Other", "others")
    ann.groups.set(Group.objects.filter(name__in=["analysts", "buyers"]))

    lent_until = Grant.objects.get(endpoint__title="Lent").expires_at
    assert lent_until
    found = told(operator, ann)

    assert found == {
        "All": ["Ready", "Every signed-in user may."],
        "Bad": ["Unavailable", "By group: analysts."],
        "Both": ["Ready", "Every signed-in user may. By group: analysts, buyers."],
        "Lent": ["Ready", f"By group: analysts until {exact(lent_until)}."],
    }
    client.force_login(ann)
    catalogue = client.get("/").content.decode()
    assert {title for title in Endpoint.objects.values_list("title", flat=True)
            if f"<bdi>{title}</bdi></a>" in catalogue} == found.keys()  # fmt: skip


def test_of_staff_it_says_that_they_operate_it(operator: Client) -> None:
    closed = Group.objects.create(name="closed")
    endpoint("Open", enabled=False)
    endpoint("Closed", operators=closed)
    endpoint("Read", "closed", operators=Group.objects.create(name="more"))
    user = person(Role.OPERATOR)

    assert told(operator, user) == {"Open": ["Unavailable", "They operate it."]}
    user.groups.add(closed)
    assert told(operator, user) == {
        "Closed": ["Ready", "They operate it."],
        "Open": ["Unavailable", "They operate it."],
        "Read": ["Ready", "By group: closed."],
    }


def test_it_tells_nobody_of_what_is_kept_from_them(client: Client) -> None:
    endpoint("Kept", operators=Group.objects.create(name="closed"), everyone=True)
    endpoint("Open", everyone=True)
    ann = User.objects.create_user("ann")
    client.force_login(person(Role.VIEWER))
    address = reverse("admin:streams_user_exports", args=[ann.pk])

    assert told(client, ann).keys() == {"Open"}
    assert "are left out here" in client.get(address).content.decode()


def test_it_says_why_there_is_nothing(operator: Client) -> None:
    ann = User.objects.create_user("ann")
    address = reverse("admin:streams_user_exports", args=[ann.pk])
    assert "Add a group of theirs" in operator.get(address).content.decode()
    endpoint("All", everyone=True)
    User.objects.filter(pk=ann.pk).update(is_active=False)

    assert "the account is not active" in operator.get(address).content.decode()
    change = operator.get(reverse("admin:streams_user_change", args=[ann.pk]))
    assert f'href="{address}"' in change.content.decode()
    assert operator.get(reverse("admin:streams_user_exports", args=[10**6])).status_code == 404


def test_it_is_paged_and_costs_the_same_for_many(
    operator: Client, django_assert_max_num_queries: object
) -> None:
    for number in range(60):
        endpoint(f"Number-{number:02}", f"group {number}", everyone=True)
    ann = User.objects.create_user("ann")
    ann.groups.set(Group.objects.filter(name__startswith="group"))

    with django_assert_max_num_queries(9):  # type: ignore[operator]
        found = told(operator, ann)

    assert len(found) == 50
