"""While the database is away, everybody is told to come again.

That a real one is away is tried in `tests/functional/test_composition.py`.
"""

import json

import pytest
from django.db import Error, IntegrityError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import path

ERRORS = {"away": OperationalError, "wrong": IntegrityError}


async def asks_the_database(_: HttpRequest, error: str) -> HttpResponse:
    raised: type[Error] = ERRORS[error]
    raise raised('connection to server at "canary-host" failed')


urlpatterns = [path("<str:error>", asks_the_database)]
pytestmark = pytest.mark.urls(__name__)


async def test_a_program_is_told_in_json(caplog: pytest.LogCaptureFixture) -> None:
    answer = await AsyncClient().get("/away")

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    error = json.loads(answer.content)["error"]
    assert (error["code"], error["hint"]) == ("unavailable", "Try again in some seconds.")
    assert [record.message for record in caplog.records][:1] == ["database_away"]
    assert "canary-host" not in caplog.text


async def test_a_person_is_told_by_a_page_that_asks_no_database() -> None:
    answer = await AsyncClient().get("/away", headers={"accept": "text/html"})

    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert "does not reach its database" in answer.content.decode()
    assert answer["Content-Security-Policy"].startswith("default-src 'none'")


async def test_what_is_an_error_of_ours_stays_one() -> None:
    answer = await AsyncClient(raise_request_exception=False).get("/wrong")

    assert answer.status_code == 500
