"""Somebody with a password, and whoever wants to be them."""

import pytest
from django.test import Client

from streams.models import User

PASSWORD = "correct-horse-9"


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", email="ann@example.com", password=PASSWORD)


@pytest.fixture
def browser(ann: User) -> Client:
    """Of somebody who has just signed in."""
    client = Client()
    client.post("/accounts/login/", {"username": "ann", "password": PASSWORD})
    return client
