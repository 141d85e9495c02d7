"""Whatever happens on the way, what looks complete is equal to the source, and of one version."""

import hashlib
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.functional.client import Answer
from tests.functional.conftest import EITHER_WAY, Portal
from tests.functional.origin import Connection, Request, Script, chunks, head

# The second replaces the first byte for byte; the third has another length.
SIZES = {"a": 300_000, "b": 300_000, "c": 262_144}
VERSIONS = {name: random.Random(name).randbytes(size) for name, size in SIZES.items()}
AT_ONCE = 12


@dataclass(frozen=True)
class Act:
    """What the origin does with one request."""

    version: str = "a"
    tag: Literal["strong", "weak", "none"] = "strong"
    framing: Literal["length", "chunked"] = "length"
    # How it answers a range, and whether it looks at If-Range.
    ranges: Literal["right", "whole", "shifted", "416"] = "right"
    minds_condition: bool = True
    # Bytes of this body after which it breaks off, and how.
    stop: int | None = None
    reset: bool = False
    status: Literal[200, 429, 500, 503] = 200

    def answer(self, request: Request, connection: Connection) -> None:
        if self.status != 200:
            connection.send(head("Content-Length: 0", "Retry-After: 1", status=f"{self.status} No"))
            return
        data = VERSIONS[self.version]
        tag = {"strong": f'"{self.version}"', "weak": f'W/"{self.version}"', "none": ""}[self.tag]
        fields = ["Accept-Ranges: bytes", *([f"ETag: {tag}"] if tag else [])]
        status, first, last = "200 OK", 0, len(data) - 1
        asked = re.match(r"bytes=(\d*)-(\d*)$", "".join(request.values("Range")))
        condition = "".join(request.values("If-Range"))
        if asked and not (self.minds_condition and condition and condition != tag):
            if self.ranges == "416":
                unsatisfiable = f"Content-Range: bytes */{len(data)}"
                connection.send(head("Content-Length: 0", unsatisfiable, status="416 No"))
                return
            if self.ranges != "whole":
                first, last = _span(asked[1], asked[2], len(data), self.ranges == "shifted")
                status = "206 Partial Content"
                fields.append(f"Content-Range: bytes {first}-{last}/{len(data)}")
        body = data[first : last + 1]
        stops = self.stop is not None and self.stop < len(body)
        sent = body[: self.stop] if stops else body
        if self.framing == "length":
            connection.send(head(*fields, f"Content-Length: {len(body)}", status=status) + sent)
        else:
            last_chunk = b"" if stops else b"0\r\n\r\n"
            pieces = [sent[at : at + 20_000] for at in range(0, len(sent), 20_000)]
            connection.send(
                head(*fields, "Transfer-Encoding: chunked", status=status)
                + chunks(*pieces, last=last_chunk)
            )
        if stops and self.reset:
            connection.reset()
        elif stops:
            connection.sock.close()


def _span(first: str, last: str, size: int, shifted: bool) -> tuple[int, int]:
    """The bytes that are meant; one later where the origin has it wrong, and says so."""
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last or size - 1), size - 1)
    return (min(start + 1, size - 1), min(end + 1, size - 1)) if shifted else (start, end)


@dataclass(frozen=True)
class Story:
    """One request of a client, and what the origin does with each of the portal's."""

    acts: tuple[Act, ...]
    range: str | None
    if_range: str | None

    def script(self) -> Script:
        left = list(self.acts)

        def answer(request: Request, connection: Connection) -> None:
            # In the end it does as it should, with the version that it has then.
            act = left.pop(0) if left else Act(self.acts[-1].version)
            act.answer(request, connection)

        return answer


ACTS = st.builds(
    Act,
    version=st.sampled_from("aaabc"),
    tag=st.sampled_from(["strong", "strong", "strong", "weak", "none"]),
    framing=st.sampled_from(["length", "length", "chunked"]),
    ranges=st.sampled_from(["right", "right", "right", "whole", "shifted", "416"]),
    minds_condition=st.booleans(),
    stop=st.none() | st.integers(0, 299_999),
    reset=st.booleans(),
    status=st.sampled_from([200] * 8 + [429, 500, 503]),
)
STORIES = st.builds(
    Story,
    acts=st.lists(ACTS, min_size=1, max_size=6).map(tuple),
    range=st.none() | st.sampled_from(
        ["0-", "0-0", "1000-200000", "65536-131071", "200000-", "-70000", "299999-400000"]
    ),
    if_range=st.sampled_from([None, None, '"a"', '"b"', 'W/"a"']),
)  # fmt: skip


def tell(portal: Portal, slug: str, story: Story) -> None:
    case = portal.origin.on(story.script())
    fields = [f"Range: bytes={story.range}"] if story.range else []
    fields += [f"If-Range: {story.if_range}"] if story.if_range else []

    answer = portal.ask(case, *fields, slug=slug).read()

    if answer.status in {200, 206}:
        record = portal.record(answer, 15)
        assert (record["state"] == "complete") == (answer.end == "complete"), (record, answer.end)
        check_body(answer, whole=answer.end == "complete")
        if answer.end == "complete":
            assert record["sha256"] == hashlib.sha256(answer.body).hexdigest()
    else:
        assert answer.status in {416, 429, 502, 504}, answer.status
        assert answer.end == "complete"
        assert not any(answer.body[:64] in data for data in VERSIONS.values())


def check_body(answer: Answer, *, whole: bool) -> None:
    """What came is of one version, of that which the head names, and from where the head says."""
    names = [answer.value("etag").strip('W/"')] if answer.value("etag") else list(VERSIONS)  # type: ignore[union-attr]
    first, last = 0, None
    if answer.status == 206:
        stated = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.value("content-range") or "")
        assert stated
        first, last = int(stated[1]), int(stated[2])
        names = [name for name in names if SIZES[name] == int(stated[3])]
    parts = [VERSIONS[name][first : None if last is None else last + 1] for name in names]
    fits = [part == answer.body if whole else part.startswith(answer.body) for part in parts]
    assert any(fits), f"{len(answer.body)} bytes from {first} of {names} are none of theirs"


@pytest.mark.parametrize("slug", EITHER_WAY)
@settings(
    max_examples=12,
    # Each takes seconds: to make a failure smaller would take minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(stories=st.lists(STORIES, min_size=AT_ONCE, max_size=AT_ONCE))
def test_what_looks_complete_is_equal_to_the_source(
    portal: Portal, slug: str, stories: list[Story]
) -> None:
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for done in [clients.submit(tell, portal, slug, story) for story in stories]:
            done.result()
