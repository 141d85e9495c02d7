"""Who looks at the operators' pages."""

import pytest
from django.test import Client

from streams.models import User


@pytest.fixture
def operator(client: Client) -> Client:
    """Signed in, and allowed everything."""
    client.force_login(User.objects.create_superuser("op"))
    return client
