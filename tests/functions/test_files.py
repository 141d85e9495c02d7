"""Files and bytes as answers: whole, in parts, and never of two versions."""

import hashlib
import os
from pathlib import Path

import pytest
from spillway_lambda import files
from spillway_lambda.files import PIECE, FileChangedError
from spillway_lambda.invocation import Event
from spillway_lambda.streaming import HttpError, Response

CONTENT = bytes(range(251)) * 4000


def event(method: str = "GET", **headers: str) -> Event:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"headers": fields, "requestContext": {"http": {"method": method}}}


def body(response: Response) -> bytes:
    return b"".join(response.body)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "orders.csv"
    made.write_bytes(CONTENT)
    return made


def test_a_file_is_answered_with_its_length_tag_and_type(path: Path) -> None:
    response = files.answer(event(), path)

    assert response.status == 200
    assert response.headers["Content-Length"] == str(len(CONTENT))
    assert response.headers["ETag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    assert response.headers["Content-Type"] == "text/csv"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert body(response) == CONTENT


@pytest.mark.parametrize(
    ("asked", "stated", "expected"),
    [
        ("bytes=0-0", "0-0", CONTENT[:1]),
        (f"bytes=10-{PIECE + 9}", f"10-{PIECE + 9}", CONTENT[10 : PIECE + 10]),
        ("bytes=-5", f"{len(CONTENT) - 5}-{len(CONTENT) - 1}", CONTENT[-5:]),
        (f"bytes=3-{10**9}", f"3-{len(CONTENT) - 1}", CONTENT[3:]),
    ],
)
def test_a_part_is_exactly_what_was_asked_for(
    path: Path, asked: str, stated: str, expected: bytes
) -> None:
    for response in (
        files.answer(event(range=asked), path),
        files.answer_bytes(event(range=asked), CONTENT),
    ):
        assert response.status == 206
        assert response.headers["Content-Range"] == f"bytes {stated}/{len(CONTENT)}"
        assert response.headers["Content-Length"] == str(len(expected))
        assert body(response) == expected


def test_what_cannot_be_answered_has_a_status_of_its_own(path: Path) -> None:
    def refusal(request: Event, path: Path = path) -> tuple[int, str, dict[str, str]]:
        with pytest.raises(HttpError) as caught:
            files.answer(request, path)
        return caught.value.status, caught.value.code, caught.value.headers

    assert refusal(event(range="bytes=9999999-")) == (
        416,
        "InvalidRange",
        {"Content-Range": f"bytes */{len(CONTENT)}"},
    )
    assert refusal(event(if_match='"other"'))[:2] == (412, "PreconditionFailed")
    assert refusal(event("POST")) == (405, "method_not_allowed", {"Allow": "GET, HEAD"})
    assert refusal(event(), path.with_name("absent"))[:2] == (404, "no_such_file")
    assert refusal(event(), path.parent)[:2] == (404, "no_such_file")


def test_who_has_this_version_gets_nothing(path: Path) -> None:
    tag = files.answer(event(), path).headers["ETag"]

    response = files.answer(event(if_none_match=tag), path)

    assert (response.status, body(response)) == (304, b"")


def test_a_head_request_and_an_empty_file_have_no_body(path: Path) -> None:
    head = files.answer(event("HEAD"), path)
    path.write_bytes(b"")
    empty = files.answer(event(), path)

    assert (head.headers["Content-Length"], body(head)) == (str(len(CONTENT)), b"")
    assert (empty.headers["Content-Length"], body(empty)) == ("0", b"")


def test_a_file_that_was_written_again_has_another_tag(path: Path) -> None:
    before = files.answer(event(), path).headers["ETag"]
    path.write_bytes(CONTENT[::-1])

    assert files.answer(event(), path).headers["ETag"] != before


def test_a_tag_that_is_known_spares_the_reading(path: Path) -> None:
    response = files.answer(event(if_range='"v7"', range="bytes=0-3"), path, etag='"v7"')

    assert (response.status, response.headers["ETag"]) == (206, '"v7"')
    for wrong in ("v7", 'W/"v7"'):
        with pytest.raises(ValueError, match="not a strong entity tag"):
            files.answer(event(), path, etag=wrong)


def test_a_file_that_is_replaced_before_it_is_read_is_not_sent(path: Path) -> None:
    response = files.answer(event(), path)
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    other.replace(path)

    with pytest.raises(FileChangedError):
        body(response)


def test_a_file_that_is_written_to_while_it_is_sent_is_not_sent_on(path: Path) -> None:
    pieces = iter(files.answer(event(), path).body)
    assert next(pieces) == CONTENT[:PIECE]
    with path.open("r+b") as file:
        file.seek(PIECE)
        file.write(b"other")
    # Two writes within one tick of the kernel's clock could look alike.
    os.utime(path, ns=(0, 0))

    with pytest.raises(FileChangedError, match="another one"):
        next(pieces)


def test_more_fields_go_out_with_it(path: Path) -> None:
    fields = {"Content-Type": "text/plain", "X-Rows": "4"}

    response = files.answer(event(), path, fields=fields)

    assert fields.items() <= response.headers.items()
