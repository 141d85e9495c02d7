"""What clients are told of an origin that is not as it should be, kind by kind."""

import json

import pytest

from tests.functional.conftest import CURRENT, PREVIOUS
from tests.kinds.conftest import BREAKS, REFUSALS, Stage


@pytest.mark.parametrize("slug", REFUSALS)
def test_what_is_wrong_is_named(stage: Stage, slug: str) -> None:
    _, code = REFUSALS[slug]

    answer = stage.portal.fetch(slug).read()

    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (502, code), error
    assert error["hint"]
    assert answer.value("content-disposition") is None
    record = stage.portal.record(answer)
    assert (record["state"], record["reason"], record["sent"]) == ("failed", code, 0)


@pytest.mark.parametrize("slug", BREAKS)
def test_a_function_that_breaks_off_is_a_cut(stage: Stage, slug: str) -> None:
    _, query, reason = BREAKS[slug]

    answer = stage.portal.fetch(slug, query=f"?{query}").read()

    assert (answer.status, answer.end, answer.body) == (200, "cut", b"half a body")
    record = stage.portal.record(answer)
    assert (record["state"], record["reason"]) == ("cut", reason)


def test_no_value_of_a_secret_is_in_the_log(stage: Stage) -> None:
    for slug in ("other-secret", "gateway-secret", "url-secret", "lambda", "handed"):
        stage.portal.fetch(slug).read()

    for value in (CURRENT, PREVIOUS, "X-Amz-Signature", "Signature="):
        assert value not in stage.portal.log
