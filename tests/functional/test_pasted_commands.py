"""The commands of an export's page, run as pasted; and aria2c, which fetches in parts."""

import hashlib
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal
from tests.functional.origin import Connection, Request, head
from tests.functional.test_accessibility import faults_here

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow

MEGABYTE = 1 << 20
DATA = random.Random(3).randbytes(8 * MEGABYTE)


def cut_once(request: Request, connection: Connection) -> None:
    """The first 2 MiB; all of a range. Without an ETag the portal does not resume by itself."""
    asked = request.values("range")
    start = int(asked[0].removeprefix("bytes=").partition("-")[0]) if asked else 0
    fields = [f"Content-Length: {len(DATA) - start}", "Accept-Ranges: bytes"]
    if start >= len(DATA):
        range_told = f"Content-Range: bytes */{len(DATA)}"
        connection.send(head("Content-Length: 0", range_told, status="416 Range Not Satisfiable"))
    elif start:
        fields.append(f"Content-Range: bytes {start}-{len(DATA) - 1}/{len(DATA)}")
        connection.send(head(*fields, status="206 Partial Content") + DATA[start:])
    else:
        connection.send(head(*fields) + DATA[: 2 * MEGABYTE])
        connection.reset()


def ranged(request: Request, connection: Connection) -> None:
    asked = request.values("range")
    first, last = 0, len(DATA) - 1
    fields = ['ETag: "v1"', "Accept-Ranges: bytes"]
    if asked:
        given = asked[0].removeprefix("bytes=").split("-")
        first, last = int(given[0]), int(given[1] or last)
        fields.append(f"Content-Range: bytes {first}-{last}/{len(DATA)}")
    status = "206 Partial Content" if asked else "200 OK"
    connection.send(head(f"Content-Length: {last + 1 - first}", *fields, status=status))
    if request.method == "GET":
        connection.send(DATA[first : last + 1])


def run(command: str, folder: Path, token: str) -> int:
    environment = {**os.environ, "TOKEN": token}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, check=False, timeout=60
    )
    return done.returncode


@pytest.mark.parametrize("tool", ["curl", "wget", "Python"])
def test_a_pasted_command_fetches_what_was_cut_to_its_end(
    portal: Portal, page: Page, tmp_path: Path, tool: str
) -> None:
    if shutil.which(tool.lower().replace("python", "python3")) is None:
        pytest.skip(f"needs the program {tool}")
    sign_in(page)
    case = portal.origin.on(cut_once)
    page.goto(f"/exports/named/?case={case.name}&it's=%22so%22;$(touch%20x)")
    page.locator("summary", has_text=tool).click() if tool != "curl" else None
    command = page.locator("details", has=page.locator("summary", has_text=tool)).locator(
        "code"
    ).inner_text()  # fmt: skip
    page.get_by_role("button", name="Make a token for an hour").click()
    shown = page.locator("code").first.inner_text()
    made = re.fullmatch(r"export TOKEN=(spw_\S+)", shown)
    assert made is not None

    codes = [run(command, tmp_path, made[1])]
    while codes[-1] and len(codes) < 3:
        codes.append(run(command, tmp_path, made[1]))

    assert codes[-1] == 0
    # wget itself goes on.
    assert len(codes) == (1 if tool == "wget" else 2), codes
    (file,) = tmp_path.iterdir()
    assert hashlib.sha256(file.read_bytes()).digest() == hashlib.sha256(DATA).digest()
    if tool == "Python":
        assert run(command, tmp_path, made[1]) == 0, "it is whole already"
        assert file.read_bytes() == DATA


def test_the_page_has_the_command_that_checks_the_file(
    portal: Portal, page: Page, tmp_path: Path
) -> None:
    sign_in(page)
    page.goto(f"/exports/named/?case={portal.origin.on(ranged).name}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    expect(page.get_by_role("heading", name="Everything was sent")).to_be_visible()
    page.reload()
    command = page.locator("code", has_text="sha256sum").inner_text()
    name = re.findall(r"  (r.*?)' \|", command)[0]

    download.value.save_as(tmp_path / name)
    assert run(command, tmp_path, "") == 0
    (tmp_path / name).write_bytes(DATA[:-1] + b"?")
    assert run(command, tmp_path, "") == 1
    assert not faults_here(page)


@pytest.mark.parametrize(
    "command",
    [
        'aria2c -q -x4 -s4 -k1M --header "Authorization: Bearer $TOKEN" -o file "$URL"',
        'wget -q -c --header "Authorization: Bearer $TOKEN" -O file "$URL"',
        'curl -s -C - --header "Authorization: Bearer $TOKEN" -o file "$URL"',
    ],
)
def test_programs_that_fetch_in_parts_or_go_on_get_the_same_bytes(
    portal: Portal, tmp_path: Path, command: str
) -> None:
    if shutil.which(command.split(" ", maxsplit=1)[0]) is None:
        pytest.skip(f"needs the program {command.split(' ', maxsplit=1)[0]}")
    case = portal.origin.on(ranged)
    url = f"http://127.0.0.1:{portal.port}/exports/plain/download?case={case.name}"
    if "aria2c" not in command:
        (tmp_path / "file").write_bytes(DATA[: 3 * MEGABYTE + 1])

    assert run(f"URL='{url}'; {command}", tmp_path, portal.token) == 0

    found = hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()
    assert found == hashlib.sha256(DATA).hexdigest()
    if "aria2c" in command:
        assert len(case.requests) >= 4, "it did not fetch in parts"
