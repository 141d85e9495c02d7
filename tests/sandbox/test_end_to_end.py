"""A large object: S3, a function, its URL, and the same bytes at the client."""

import hashlib
import http.client
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox.conftest import MIB, Running

PRODUCT = Path(__file__).resolve().parents[2] / "functions" / "python"
SECRET = "the-secret-of-this-test"


@pytest.fixture(scope="module")
def digest(usual: Running) -> Iterator[str]:
    """The digest of 50 MB in S3."""
    content = hashlib.shake_256(b"export").digest(50 * MIB)
    usual.aws.put_object("exports", "export.bin", content, ContentType="text/csv")
    yield hashlib.sha256(content).hexdigest()
    usual.aws.client("s3").delete_object(Bucket="exports", Key="export.bin")


def download(url: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and digest, without the body in this process's memory."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    connection.request("GET", parts.path, headers=headers)
    response = connection.getresponse()
    found = hashlib.sha256()
    while piece := response.read(MIB // 4):
        found.update(piece)
    connection.close()
    return response.status, found.hexdigest()


def peak(pid: int) -> int:
    """The most bytes of memory that the process ever used."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def test_an_object_passes_unharmed_and_is_never_held(usual: Running, digest: str) -> None:
    url = usual.deploy("s3", timeout=60)

    assert download(url, {}) == (200, digest)
    assert peak(usual.aws.pid) < 100 * MIB


@pytest.mark.skipif(
    not (PRODUCT / "app.py").exists(), reason="functions/python/app.py is not there"
)
def test_the_products_own_handler_serves_the_object(usual: Running, digest: str) -> None:
    url = usual.aws.deploy_function(
        "product",
        PRODUCT,
        "app.handler",
        {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "export.bin", "SECRET_HEADER": SECRET},
        timeout=60,
    )

    refused, _ = download(url, {})
    served = download(url, {"x-secret-header": SECRET})

    assert refused == 403
    assert served == (200, digest)
