"""The samples of the function's README are run as they stand there."""

import json
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.functions.conftest import FUNCTION, Function
from tests.functions.fake_runtime_api import FakeRuntimeApi

HEADERS = {"x-secret-header": "right"}

Run = Callable[..., Function]


@pytest.fixture
def sample(run: Run, tmp_path: Path) -> Run:
    """Starts the runtime with the sample of this name."""
    text = (FUNCTION / "README.md").read_text()
    samples = re.findall(r"```python\n# (\w+)\.py\n(.*?)```", text, re.DOTALL)
    assert len(samples) == text.count("```python")

    def start(name: str, **environment: str) -> Function:
        (tmp_path / f"{name}.py").write_text(dict(samples)[name])
        return run(f"{name}.handler", root=tmp_path, SECRET_HEADER="right", **environment)

    return start


def test_the_handler_of_the_readme_works(api: FakeRuntimeApi, sample: Run) -> None:
    sample("report")

    report = api.answer_to({"rawPath": "/report", "headers": HEADERS})
    other = api.answer_to({"rawPath": "/other", "headers": HEADERS})
    refused = api.answer_to({"rawPath": "/report", "headers": {}})

    assert report.prelude["headers"] == {"Content-Type": "text/csv"}
    assert report.body.splitlines()[-1] == b"99999,9999800001"
    assert (other.prelude["statusCode"], refused.prelude["statusCode"]) == (404, 403)


def test_the_async_handler_works(api: FakeRuntimeApi, sample: Run) -> None:
    sample("chat")

    assert api.answer_to({"headers": HEADERS}).body == b"streams\nof\nwords\n"


def test_the_files_are_served_with_ranges(
    api: FakeRuntimeApi, sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "papers.txt").write_bytes(b"0123456789")
    monkeypatch.chdir(tmp_path)
    sample("papers")

    part = api.answer_to({"rawPath": "/", "headers": HEADERS | {"range": "bytes=2-4"}})
    hello = api.answer_to({"rawPath": "/hello", "headers": HEADERS})

    assert (part.prelude["statusCode"], part.body) == (206, b"234")
    assert part.prelude["headers"]["ETag"] == '"edition-7"'
    assert hello.body == b"hello"


def test_the_database_is_streamed(
    api: FakeRuntimeApi, sample: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("ledger.db")) as database:
        database.execute("CREATE TABLE ledger (id INTEGER, amount TEXT, booked_at TEXT)")
        database.execute("INSERT INTO ledger VALUES (1, '1.10', '2026-11-25')")
        database.commit()
    sample("ledger")

    assert api.answer_to({"headers": HEADERS}).body == (
        b"id,amount,booked_at\r\n1,1.10,2026-11-25\r\n"
    )


def test_the_upstream_is_walked(api: FakeRuntimeApi, sample: Run, upstream: str) -> None:
    sample("people", UPSTREAM=upstream)

    assert api.answer_to({"headers": HEADERS}).body == b'{"id": 1}\n{"id": 2}\n'


@pytest.fixture
def upstream() -> Iterator[str]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first = self.path == "/people"
            links = {"next": "/people?page=2"} if first else {}
            body = json.dumps({"data": [{"id": 1 if first else 2}], "links": links}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its parent's name
            pass

    with HTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/people"
        server.shutdown()
        thread.join()


def test_the_readme_names_every_event_that_is_logged() -> None:
    text = (FUNCTION / "README.md").read_text()
    sources = (FUNCTION / "spillway_lambda").glob("*.py")

    logged = {
        name
        for source in sources
        for name in re.findall(r'\blog\(\s*"([a-z_]+)"', source.read_text())
    }

    assert len(logged) > 5
    assert [name for name in sorted(logged) if f"`{name}`" not in text] == []


def test_the_readme_names_every_code_of_an_error() -> None:
    text = (FUNCTION / "README.md").read_text()
    sources = [path.read_text() for path in (FUNCTION / "spillway_lambda").glob("*.py")]

    codes = {
        code
        for source in sources
        for code in re.findall(r'HttpError\(\s*(?:\d+|status),\s*"(\w+)"', source)
    }
    codes |= {
        f"upstream_{code}"
        for source in sources
        for code in re.findall(r'UpstreamError\(\s*"(\w+)"', source)
    }

    assert len(codes) > 10
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []
