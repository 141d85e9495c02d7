"""What is sent to an HTTP origin, and how its odd answers are read."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from streams.net import errors
from streams.origins import http

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(texts, texts), max_size=5))
def test_the_clients_parameters_arrive_as_they_were(pairs: list[tuple[str, str]]) -> None:
    query = urlencode(pairs)

    url = http.signable(http.with_query("https://example.com/a", query))

    assert url.isascii()
    assert "+" not in url
    expected = [pair for pair in pairs if pair != ("", "")]
    read = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    assert [pair for pair in read if pair != ("", "")] == expected


def test_a_client_cannot_override_what_the_operator_set() -> None:
    client = "tenant=8&y=2&%74enant=9&z;tenant=8&tenant&z;y"
    url = http.with_query("https://example.com/a?tenant=7&x=1", client)

    assert urlsplit(url).query == "tenant=7&x=1&y=2&z;y"


ODD = "flag&a;b&x=%FF&y=1+2&&%zz=%&=&[]{}|^`\"'<>~*!(),/?:@$=="


@pytest.mark.parametrize("registered", ["", "tenant=7", "flag2&t=%ff+1"])
def test_a_query_is_sent_as_it_came(registered: str) -> None:
    url = http.with_query(f"https://example.com/a?{registered}", ODD)

    joined = "&".join(filter(None, [registered, ODD]))
    assert url == f"https://example.com/a?{joined}"
    assert URL(url, encoded=True).raw_path_qs == f"/a?{joined}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@example("a b\r\nX-Evil: 1\t\x00\x7f#top\\é")
def test_nothing_in_a_query_can_leave_it(query: str) -> None:
    url = http.with_query("https://example.com/a", query)

    assert re.fullmatch(r"https://example\.com/a(\?[!-~]*)?", url)
    assert "#" not in url
    assert "\\" not in url


def test_a_signed_query_keeps_its_bytes() -> None:
    assert urlsplit(http.signable("https://a.example/?x=%ff&flag&a;b&y=1+2&&z=~%7e%41")).query == (
        "x=%FF&flag=&a%3Bb=&y=1%202&z=~~A"
    )


@pytest.mark.parametrize(
    "location",
    [
        "",
        "https://elsewhere.example/",
        "//elsewhere.example/",
        "http://example.com/a",
        "https://example.com:8443/a",
        "https://user@example.com/a",
        "\\\\elsewhere.example\\a",
        "https://example.com:port/",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "/\u00e9",
        "/a, /b",
    ],
)
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with pytest.raises(errors.RedirectError):
        http.same_origin("https://example.com/a", location)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/b?x=1", "https://example.com/b?x=1"),
        ("b", "https://example.com/b"),
        ("https://example.com:443/b#top", "https://example.com:443/b"),
    ],
)
def test_a_redirect_within_the_origin_is_followed(location: str, target: str) -> None:
    assert http.same_origin("https://example.com/a", location) == target


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7),
        ("0", 1),
        ("999999", 3600),
        ("-3", None),
        ("soon", None),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 1),
        ("Fri, 01 Jan 2100 00:00:00 GMT", 3600),
    ],
)
def test_how_long_to_wait_is_bounded(header: str | None, seconds: int | None) -> None:
    assert http.retry_after(header) == seconds
