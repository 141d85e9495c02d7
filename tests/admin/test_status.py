"""An endpoint's own page: how it is, what was downloaded, its secret, and a test of its origin."""

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from streams.access.roles import Role
from streams.models import (
    AuditEntry,
    Checkup,
    Download,
    DriftCheck,
    Endpoint,
    Gateway,
    Mode,
    Rotation,
    Secret,
    User,
)

pytestmark = pytest.mark.django_db

VALUE = "canary-" + "v" * 32
PREVIOUS = "previous-" + VALUE
CHUNK = b"x" * 65536


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/"
    )


def page_of(endpoint: Endpoint) -> str:
    return f"/operate/streams/endpoint/{endpoint.pk}/"


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(unescape(answer.content.decode()).split())


def download(of: Endpoint, *, state: str = "complete", first: float = 0.5, **also: Any) -> None:
    at = timezone.now() - timedelta(minutes=5)
    fields = {
        "first_byte_at": at + timedelta(seconds=first), "finished_at": at + timedelta(seconds=10),
        "sent": 19_000_000,
    }  # fmt: skip
    Download.objects.create(
        endpoint=of, slug=of.slug, username="ann", state=state, started_at=at, **(fields | also)
    )


def test_a_new_one_says_that_nothing_is_known_yet(operator: Client, endpoint: Endpoint) -> None:
    told = text(operator, page_of(endpoint))

    assert "</span>unknown</span>" in told
    assert told.count("has not been checked yet: the next free worker does it.") == 1
    assert "<p>There was none yet.</p>" in told
    assert "Nobody has downloaded from it yet." in told
    assert "Secret and rotation" not in told
    for name in ("change", "doctor", "history"):
        assert reverse(f"admin:streams_endpoint_{name}", args=[endpoint.pk]) in told
    assert page_of(endpoint) in text(operator, reverse("admin:streams_endpoint_changelist"))
    form = text(operator, reverse("admin:streams_endpoint_change", args=[endpoint.pk]))
    assert f'href="{page_of(endpoint)}"' in form


@pytest.mark.parametrize(
    ("fields", "days", "sentence"),
    [
        ({}, 0, "The function refuses."),
        ({}, 9, "The last check is too long ago to tell how it is now."),
        ({"enabled": False}, 0, "It is disabled: users neither see it nor download from it."),
    ],
)
def test_how_it_is_is_one_sentence(
    operator: Client, endpoint: Endpoint, fields: dict[str, Any], days: int, sentence: str
) -> None:
    Endpoint.objects.update(**fields)
    at = timezone.now() - timedelta(days=days)
    row = Checkup.objects.create(
        endpoint=endpoint, health="failing", reason="The function refuses.", looked_at=at,
        failing_since=at,
    )  # fmt: skip
    for health, errors in (("healthy", 0), ("degraded", 0), ("failing", 2)):
        row.runs.create(
            health=health, errors=errors, warnings=1, passed=3, skipped=0, seconds=1.0, report={},
            why="schedule",
        )  # fmt: skip

    told = text(operator, page_of(endpoint))

    assert f">{sentence}</bdi>" in told
    assert ("</span>unknown</span>" if days else "</span>failing</span>") in told
    strip = told.partition('class="strip"')[2].partition("</ol>")[0]
    places = [strip.index(f"</span>{one}<") for one in ("healthy", "degraded", "failing")]
    assert places == sorted(places)
    assert "2 errors, 1 warning</a>" in told


def test_its_downloads_tell_how_fast_and_how_often_cut(
    operator: Client, endpoint: Endpoint
) -> None:
    for tenths in range(1, 20):
        download(endpoint, first=tenths / 10)
    download(endpoint, state="cut", first=4, sent=5)
    download(endpoint, state="failed", first_byte_at=None, sent=0, reason="origin_timeout")
    download(endpoint, state="running", finished_at=None, sent=0, seen_at=timezone.now())
    other = Endpoint.objects.create(slug="b", title="B", kind="http", url="https://e.com/")
    download(other, state="cut", first=80)
    long_ago = timezone.now() - timedelta(days=2)
    Download.objects.filter(sent=5).update(started_at=long_ago - timedelta(seconds=4))
    Download.objects.filter(sent=5).update(first_byte_at=long_ago)

    told = text(operator, page_of(endpoint))

    assert "361 MB" in told  # 19 of 19 MB
    assert "half within</dt> <dd>1.0 s</dd>" in told
    assert "95 % within</dt> <dd>1.9 s</dd>" in told
    assert "2.1 MB/s" in told  # 19 MB in 9 s
    assert "<dt>Cut</dt> <dd>5 % (1 of 21)</dd>" in told
    assert "of the last 22 downloads" in told
    assert "failed (origin_timeout)" in told
    listed = told[: told.index("in 21 downloads")].rpartition('href="')[2].partition('"')[0]
    assert operator.get(listed).context["cl"].result_count == 21


def test_its_secret_is_shown_by_its_fingerprint(operator: Client, endpoint: Endpoint) -> None:
    """Also where its gateway sends it."""
    secret = Secret.objects.create(name="guard", rotate_every=timedelta(days=1))
    with transaction.atomic():
        version = secret.set_value(VALUE)
    secret.versions.update(created_at=timezone.now() - timedelta(days=9))
    Gateway.objects.create(
        secret=secret, type="http", api_id="a1", integration_id="i1", stage="$default",
        url=endpoint.url,
    )  # fmt: skip
    rotation = Rotation.objects.create(
        secret=secret, old=version, mode=Mode.OVERLAP, state="failed", finished_at=Now()
    )
    DriftCheck.objects.create(secret=secret, found="The mapping differs.", found_at=Now())
    own = {"kind": "function-url", "auth": "secret-header", "secret": secret}

    for fields in ({"kind": "gateway"}, own):
        Endpoint.objects.update(**fields)
        told = text(operator, page_of(endpoint))

        assert f"version 1, fingerprint {version.fingerprint}" in told
        assert VALUE not in told
        assert "<strong>overdue</strong>" in told
        assert "The mapping differs." in told
        assert reverse("admin:streams_rotation_change", args=[rotation.pk]) in told
        assert reverse("admin:streams_secret_rotation", args=[secret.pk]) in told
    Secret.objects.update(rotation_paused=True)
    assert "paused" in text(operator, page_of(endpoint))


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        knows = self.headers["x-secret-header"] == PREVIOUS
        if self.path == "/refuses" or (self.path == "/previous" and not knows):
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(100 * len(CHUNK)))
        self.end_headers()
        try:
            for _ in range(1 if self.path == "/breaks" else 100):
                self.wfile.write(CHUNK)
        except OSError:
            return  # it was told enough

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Quiet."""


@pytest.fixture
def origin(settings: Any) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", "It opens: the first byte after 0."),
        ("/refuses", "The test failed: "),
        ("/breaks", "The test failed: "),
    ],
)
def test_a_test_download_tells_how_its_origin_answers(
    operator: Client, endpoint: Endpoint, origin: str, path: str, told: str
) -> None:
    Endpoint.objects.update(url=origin + path)

    answer = operator.post(page_of(endpoint))

    assert (answer.status_code, answer["Location"]) == (302, page_of(endpoint))
    assert told in text(operator, page_of(endpoint))
    assert not Download.objects.exists()
    entry = AuditEntry.objects.get(action="endpoint.tried")
    assert (entry.actor, entry.what) == ("op", "orders")


def test_a_test_download_tries_both_values_as_a_download_does(
    operator: Client, endpoint: Endpoint, origin: str
) -> None:
    secret = Secret.objects.create(name="guard")
    with transaction.atomic():
        secret.set_value(PREVIOUS)
        secret.set_value(VALUE)
    sent = {"kind": "function-url", "auth": "secret-header", "secret": secret}
    Endpoint.objects.update(url=f"{origin}/previous", **sent)

    operator.post(page_of(endpoint))

    told = text(operator, page_of(endpoint))
    assert "It opens: the first byte after" in told
    assert VALUE not in told


def test_a_test_needs_the_right_to_change(endpoint: Endpoint) -> None:
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=Role.VIEWER))
    client = Client()
    client.force_login(viewer)

    assert "Test download" not in text(client, page_of(endpoint))
    assert client.post(page_of(endpoint)).status_code == 403
    assert not AuditEntry.objects.filter(action="endpoint.tried").exists()


def test_it_costs_the_same_for_many(operator: Client, endpoint: Endpoint) -> None:
    row = Checkup.objects.create(endpoint=endpoint, health="healthy", looked_at=Now())

    def fill() -> None:
        download(endpoint)
        row.runs.create(
            health="healthy", errors=0, warnings=0, passed=3, skipped=0, seconds=1.0, report={},
            why="schedule",
        )  # fmt: skip

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text(operator, page_of(endpoint))
        return len(captured)

    fill()
    text(operator, page_of(endpoint))
    few = queries()
    for _ in range(30):
        fill()

    assert queries() == few
