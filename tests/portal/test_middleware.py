"""No middleware may keep a thread while a download streams."""

from typing import cast

import pytest
from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string


@pytest.fixture(params=settings.MIDDLEWARE)
def middleware(request: pytest.FixtureRequest) -> object:
    async def answer(_: HttpRequest) -> HttpResponse:
        return HttpResponse()

    factory = import_string(request.param)
    assert factory.async_capable, "it would be run in a thread for as long as its response streams"
    return cast(object, factory(answer))


def test_every_middleware_serves_asynchronously(middleware: object) -> None:
    assert iscoroutinefunction(middleware)
