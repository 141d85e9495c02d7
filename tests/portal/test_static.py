"""Static files, over ASGI."""

from pathlib import Path
from typing import Any

import pytest

from portal.static import StaticFiles

BODY = b"body { color: black }\n" * 50


@pytest.fixture
def files(tmp_path: Path) -> StaticFiles:
    (tmp_path / "site.css").write_bytes(BODY)
    (tmp_path / "site.0123456789ab.css").write_bytes(BODY)
    return StaticFiles(tmp_path, "/static/")


async def ask(
    files: StaticFiles, path: str, method: str = "GET", **fields: str
) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    await files({"path": path, "method": method, "headers": headers}, None, send)
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"]


async def test_a_hashed_name_is_kept_for_ever_and_another_is_not(files: StaticFiles) -> None:
    status, headers, body = await ask(files, "/static/site.0123456789ab.css")
    _, plain, _ = await ask(files, "/static/site.css")

    assert (status, body) == (200, BODY)
    assert headers[b"content-type"].startswith(b"text/css")
    assert b"immutable" in headers[b"cache-control"]
    assert b"immutable" not in plain[b"cache-control"]


async def test_a_copy_that_is_still_good_is_not_sent_again(files: StaticFiles) -> None:
    _, headers, _ = await ask(files, "/static/site.css")

    status, _, body = await ask(files, "/static/site.css", if_none_match=headers[b"etag"].decode())

    assert (status, body) == (304, b"")


async def test_head_range_and_other_methods(files: StaticFiles) -> None:
    assert (await ask(files, "/static/site.css", "HEAD"))[::2] == (200, b"")
    assert (await ask(files, "/static/site.css", range="bytes=0-3"))[::2] == (206, b"body")
    assert (await ask(files, "/static/site.css", "POST"))[0] == 405


@pytest.mark.parametrize("path", ["/static/", "/static/../secret_key", "/static/none", "/static"])
async def test_what_is_not_there_is_404(files: StaticFiles, path: str) -> None:
    assert (await ask(files, path))[0] == 404
