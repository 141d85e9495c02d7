"""Lambda's event stream, as AWS frames it (vnd.amazon.eventstream), cut anywhere."""

import itertools
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.aws.eventstream import COMPLETE, PAYLOAD, Events, EventStreamError, error_code


def frame(payload: bytes, **headers: str) -> bytes:
    """One message: lengths, their CRC, headers, payload, CRC of it all."""
    encoded = b"".join(
        bytes([len(name) + 1])
        + f":{name}".replace("_", "-").encode()
        + b"\7"
        + struct.pack(">H", len(value))
        + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(encoded) + len(payload), len(encoded))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + encoded + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(kind: str, payload: bytes = b"") -> bytes:
    return frame(payload, message_type="event", event_type=kind)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.lists(st.binary(max_size=200), max_size=6), st.lists(st.integers(0), max_size=12))
def test_events_come_whole_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(event(PAYLOAD, payload) for payload in payloads) + event(COMPLETE, b"{}")
    events = Events()

    found = [each for piece in pieces(stream, cuts) for each in events.feed(piece)]

    assert found == [(PAYLOAD, payload) for payload in payloads] + [(COMPLETE, b"{}")]


def test_an_event_that_is_not_whole_is_none() -> None:
    stream = event(PAYLOAD, b"hello")

    assert list(Events().feed(stream[:-1])) == []


@pytest.mark.parametrize("place", [0, 9, 20, -6, -1])
def test_a_changed_byte_is_noticed(place: int) -> None:
    stream = bytearray(event(PAYLOAD, b"hello") + event(PAYLOAD, b"again"))
    stream[place] ^= 1

    with pytest.raises(EventStreamError):
        list(Events().feed(bytes(stream)))


def test_what_is_no_event_stream_is_told() -> None:
    with pytest.raises(EventStreamError):
        list(Events().feed(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" * 3))


def test_an_exception_bears_its_code_and_none_of_its_text() -> None:
    stream = frame(
        b'{"message": "canary"}', message_type="exception", exception_type="ThrottlingException"
    )

    with pytest.raises(EventStreamError) as caught:
        list(Events().feed(stream))

    assert caught.value.aws_code == "ThrottlingException"
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"", ""),
        (b"{}", ""),
        (b'{"ErrorCode": null}', ""),
        (b'{"ErrorCode": "Runtime.ExitError", "ErrorDetails": "canary"}', "Runtime.ExitError"),
        (b"[]", "Unknown"),
        (b"{", "Unknown"),
        (b"\xff", "Unknown"),
    ],
)
def test_what_a_completion_says(payload: bytes, code: str) -> None:
    assert error_code(payload) == code
