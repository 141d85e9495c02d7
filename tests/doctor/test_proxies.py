"""What stands in front of the portal: the portal behind a real nginx, set up well and badly."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import time_machine
from django.core import signing
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from bench import certificates
from streams.doctor import front, installation
from streams.doctor.run import judged
from tests.functional.brokers import answers, free_port
from tests.functional.conftest import origin, running, until
from tests.functional.origin import Origin

__all__ = ["origin"]

pytestmark = pytest.mark.django_db(transaction=True)
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")

WELL = """
proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;
"""
FAULTS: list[tuple[str, str]] = [
    ("proxy-forwards", WELL.replace("$http_host", "localhost")),
    ("proxy-forwards", WELL.replace("$http_host", "upstream.internal")),
    ("proxy-forwards", WELL.replace("$scheme", "http")),
    ("proxy-buffers", WELL.replace("buffering off", "buffering on")),
    ("proxy-compresses", WELL + "gzip on; gzip_types application/json;"),
    ("proxy-ranges", WELL + 'proxy_set_header Range "";'),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    return certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tls(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, made: certificates.Certificates
) -> int:
    """The port where a proxy is to end TLS, which the portal knows of."""
    port = free_port()
    monkeypatch.setenv("SSL_CERT_FILE", str(made.authority))
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = settings.SESSION_COOKIE_SECURE = True
    settings.BASE_URL = f"https://127.0.0.1:{port}"
    return port


@contextlib.contextmanager
def nginx(
    folder: Path, tls: int, upstream: int, made: certificates.Certificates, how: str
) -> Iterator[None]:
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/pid; error_log stderr crit;\nevents {{}}\n"
        f"http {{ access_log off; {paths} server {{ listen 127.0.0.1:{tls} ssl;"
        f"ssl_certificate {made.chain}; ssl_certificate_key {made.key};"
        f"location / {{ proxy_pass http://127.0.0.1:{upstream}; {how} }} }} }}\n"
    )
    process = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(config)])
    try:
        assert until(lambda: answers(tls), 10), "nginx did not start"
        yield
    finally:
        process.terminate()
        process.wait(10)


def found() -> list[str]:
    return [finding.check.id for finding in judged([installation.portal()]).findings]


@pytest.mark.skipif(NGINX is None, reason="needs the program nginx")
@pytest.mark.parametrize(("identity", "how"), [("", WELL), *FAULTS])
def test_exactly_that_fault_of_the_proxy_is_found(
    tls: int,
    upstream: int,
    made: certificates.Certificates,
    tmp_path: Path,
    identity: str,
    how: str,
) -> None:
    with nginx(tmp_path, tls, upstream, made, how):
        facts = installation.portal()

    report = judged([facts])
    assert [finding.check.id for finding in report.findings] == [identity] * bool(identity)
    skipped = {one.check.id for one in report.skipped}
    assert identity or not skipped & {check for check, _ in FAULTS}


def test_without_a_proxy_all_is_well(settings: Settings, upstream: int) -> None:
    settings.BASE_URL = f"http://127.0.0.1:{upstream}"

    assert found() == []


@pytest.mark.shows("portal-elsewhere")
def test_somebody_else_who_answers_is_found(settings: Settings, plain: str) -> None:
    settings.BASE_URL = plain.rstrip("/")

    assert found() == ["portal-elsewhere"]


@pytest.mark.slow
def test_another_portal_is_told_by_its_database_and_by_its_key(
    settings: Settings, origin: Origin, tmp_path: Path
) -> None:
    with running(tmp_path, origin) as other:
        settings.BASE_URL = f"http://127.0.0.1:{other.port}"
        without_its_key = judged([installation.portal()])
        settings.SECRET_KEY = other.environment["SPILLWAY_SECRET_KEY"]
        with_its_key = judged([installation.portal()])

    told = []
    for report in (without_its_key, with_its_key):
        (finding,) = report.findings
        assert finding.check.id == "portal-elsewhere"
        told.append(finding.found.sentence.partition(":")[0])
    assert told == [
        "What answers does not know the portal's key",
        "What answers is another portal, or has another database",
    ]


def test_an_address_that_does_not_answer_is_skipped_with_its_reason(settings: Settings) -> None:
    settings.BASE_URL = f"http://127.0.0.1:{free_port()}"

    report = judged([installation.portal()])

    assert report.findings == []
    (reason,) = {one.reason for one in report.skipped if one.check.id.startswith("proxy-")}
    assert reason == "SPILLWAY_BASE_URL could not be asked from here (origin_unreachable)."


def test_only_who_knows_the_key_has_the_portal_hold_a_connection(client: Client) -> None:
    with time_machine.travel(time.time() - front.FRESH - 1, tick=False):
        old = signing.dumps("x", salt=front._SALT)
    good = reverse("front", args=[signing.dumps("x", salt=front._SALT)])

    for token in ("x", signing.dumps("x"), old):
        assert client.get(reverse("front", args=[token])).status_code == 404
    assert client.post(good).status_code == 405
    assert client.get(good, headers={"Range": "bytes=9999-"}).status_code == 416
    assert client.get(good, headers={"Range": "bytes=2-5"}).content == b"inst"
