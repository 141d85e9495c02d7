"""File names, from anybody's hand."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.wire import disposition


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("orders-2026-11-23.csv", "orders-2026-11-23.csv"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..\\..\\boot.ini", "_.._boot.ini"),
        (".htaccess", "htaccess"),
        ("", "download"),
        ("...", "download"),
        ("con.txt", "download_con.txt"),
        ("a\r\nSet-Cookie: x.csv", "aSet-Cookie_ x.csv"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("Größe 1.csv", "Größe 1.csv"),
        ('say "hi".txt', "say _hi_.txt"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert disposition.safe_name(name) == safe


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("\u8ba2\u5355.csv", "download.csv"),
        ("\u8ba2 \u5355-.csv", "download.csv"),
        ("\u8ba2\u5355", "download"),
        ("\u8ba2\u5355-2026.csv", "-2026.csv"),
        ("\u8ba2\u5355.tar.gz", "download.tar.gz"),
        ("orders.\u8868", "orders"),
    ],
)
def test_a_name_in_another_script_has_an_ascii_one_too(name: str, plain: str) -> None:
    assert f'filename="{plain}";' in disposition.attachment(disposition.safe_name(name))


def test_a_long_name_keeps_its_ending() -> None:
    name = disposition.safe_name("ä" * 300 + ".csv.gz")

    assert len(name.encode()) <= disposition.LONGEST
    assert name.endswith(".gz")


@given(st.text(max_size=400))
def test_no_name_can_leave_its_header_or_its_folder(name: str) -> None:
    safe = disposition.safe_name(name)
    field = disposition.attachment(safe)

    assert safe
    assert len(safe.encode()) <= disposition.LONGEST
    assert not set(safe) & set('/\\:*?"<>|')
    assert not safe.startswith(".")
    assert all(unicodedata.category(char)[0] != "C" for char in safe)
    assert field.isascii()
    assert field.isprintable()
    assert field.count('"') == 2
