"""API tokens: found by key, proven by digest, and useless once they should be."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from streams.access import tokens
from streams.models import ApiToken, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann")


def test_a_token_opens_its_users_door(ann: User) -> None:
    token = tokens.authenticate(tokens.issue(ann, name="cron"))

    assert token is not None
    assert (token.user, token.name) == (ann, "cron")
    token.refresh_from_db()
    assert token.last_used_at is not None


def test_the_database_holds_no_token(ann: User) -> None:
    secret = tokens.issue(ann).split("_", 2)[2]

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM streams_apitoken")
        assert secret not in repr(cursor.fetchall())


@pytest.mark.parametrize("spoil", ["expired", "revoked", "inactive"])
def test_a_spent_token_opens_nothing(ann: User, spoil: str) -> None:
    token = tokens.issue(ann)
    now = timezone.now()
    if spoil == "expired":
        ApiToken.objects.update(expires_at=now - timedelta(seconds=1))
    elif spoil == "revoked":
        ApiToken.objects.update(revoked_at=now)
    else:
        User.objects.update(is_active=False)

    assert tokens.authenticate(token) is None


def test_what_is_not_a_token_opens_nothing(ann: User) -> None:
    token = tokens.issue(ann)
    key = token.split("_")[1]
    others = tokens.issue(ann)

    for text in (
        "", "spw_", token[:-1], token + "x", token.upper(), f" {token}", f"{token}\n",
        f"spw_{key}_{others.split('_', 2)[2]}", f"spw_{key}_{'x' * 43}", "spw_" + "\0" * 56,
    ):  # fmt: skip
        assert tokens.authenticate(text) is None, text


def test_using_a_token_often_writes_seldom(ann: User) -> None:
    text = tokens.issue(ann)
    tokens.authenticate(text)
    first = ApiToken.objects.get().last_used_at

    tokens.authenticate(text)

    assert ApiToken.objects.get().last_used_at == first
