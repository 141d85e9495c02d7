"""Who sees an export, and what the database refuses."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, Group
from django.db import IntegrityError
from django.utils import timezone

from streams.models import Endpoint, Secret, User

pytestmark = pytest.mark.django_db


def endpoint(**fields: Any) -> Endpoint:
    given = {"slug": "orders", "title": "Orders", "kind": "http", "url": "https://example.com/"}
    return Endpoint.objects.create(**(given | fields))


def slugs(user: User | AnonymousUser) -> set[str]:
    return set(Endpoint.objects.visible_to(user).values_list("slug", flat=True))


def test_an_export_is_seen_by_those_who_may_have_it() -> None:
    analysts = Group.objects.create(name="analysts")
    analyst = User.objects.create_user("ann")
    analyst.groups.add(analysts)
    endpoint(slug="granted").readers.add(analysts)
    endpoint(slug="everyone", everyone=True)
    endpoint(slug="nobody")
    endpoint(slug="disabled", everyone=True, enabled=False)

    assert slugs(analyst) == {"granted", "everyone"}
    assert slugs(User.objects.create_user("ben")) == {"everyone"}
    assert slugs(User.objects.create_user("op", is_staff=True)) == {
        "granted", "everyone", "nobody", "disabled",
    }  # fmt: skip
    assert slugs(AnonymousUser()) == set()


def test_what_was_lent_is_seen_until_its_end() -> None:
    analysts = Group.objects.create(name="analysts")
    analyst = User.objects.create_user("ann")
    analyst.groups.add(analysts)
    for slug, days in (("lent", 1), ("over", -1)):
        end = timezone.now() + timedelta(days=days)
        endpoint(slug=slug).grants.create(group=analysts, expires_at=end)

    assert slugs(analyst) == {"lent"}


def test_somebody_who_left_sees_nothing() -> None:
    endpoint(everyone=True)

    assert slugs(User.objects.create_user("gone", is_active=False, is_staff=True)) == set()


@pytest.mark.parametrize(
    "fields",
    [
        {"slug": "Not A Slug"},
        {"slug": ""},
        {"url": ""},
        {"kind": "s3", "bucket": "b"},
        {"kind": "lambda"},
        {"kind": "gopher"},
        {"auth": "secret-header"},
        {"auth": "sigv4"},
        {"auth": "magic"},
        {"delivery": "pigeon"},
    ],
)
def test_the_database_refuses_an_endpoint_that_could_not_work(fields: dict[str, str]) -> None:
    with pytest.raises(IntegrityError):
        endpoint(**fields)


def test_a_secret_goes_with_its_auth_and_with_no_other() -> None:
    with pytest.raises(IntegrityError):
        endpoint(secret=Secret.objects.create(name="orders"))
