"""`delivery: redirect`: the bytes come from S3 itself, by a URL of a minute."""

import json
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.kinds.conftest import DATA, Stage


def test_the_client_is_sent_to_s3_with_a_signature(stage: Stage) -> None:
    answer = stage.portal.fetch("handed").read()

    assert (answer.status, answer.body) == (302, b"")
    location = answer.value("location") or ""
    assert parse_qs(urlsplit(location).query)["X-Amz-Expires"] == ["60"]
    assert "no-store" in (answer.value("cache-control") or "")
    with urllib.request.urlopen(location) as found:
        assert found.read() == DATA
        assert found.headers["Content-Disposition"].startswith('attachment; filename="handed')
    record = stage.portal.record(answer)
    assert (record["state"], record["reason"], record["sent"]) == ("redirected", "", 0)


def test_a_range_is_left_to_s3(stage: Stage) -> None:
    answer = stage.portal.fetch("handed", "Range: bytes=100-199").read()

    assert answer.status == 302
    request = urllib.request.Request(answer.value("location") or "")
    request.add_header("Range", "bytes=100-199")
    with urllib.request.urlopen(request) as found:
        assert (found.status, found.read()) == (206, DATA[100:200])


def test_head_and_conditions_are_answered_without_a_redirect(stage: Stage) -> None:
    head = stage.portal.fetch("handed", method="HEAD").read()
    tag = head.value("etag")

    again = stage.portal.fetch("handed", f"If-None-Match: {tag}").read()
    other = stage.portal.fetch("handed", 'If-Match: "another"').read()

    assert (head.status, head.value("content-length")) == (200, str(len(DATA)))
    assert (again.status, again.body) == (304, b"")
    assert (other.status, other.value("location")) == (412, None)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_is_not_there_is_told_by_the_portal(stage: Stage, method: str) -> None:
    answer = stage.portal.fetch("handed-nothing", method=method).read()

    assert (answer.status, answer.value("location")) == (502, None)
    if method == "GET":
        assert json.loads(answer.body)["error"]["code"] == "origin_not_found"
