"""Secrets are put through a whole portal, which fails in many ways, and looked for everywhere."""

import base64
import contextlib
import html
import http.cookiejar
import re
import secrets
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from tests.functional.collector import collecting
from tests.functional.conftest import CURRENT, PREVIOUS, ROOT, Portal, running, until
from tests.functional.origin import Connection, Origin, Request, chunks, head, length, replying
from tests.functional.workers import working

pytestmark = pytest.mark.slow
REGISTRY = """
version: 1
secrets:
  - {{name: guard, value_from_env: GUARD, function: {{name: gone, region: eu-central-1}}}}
endpoints:
  - {{slug: guarded, title: Guarded, kind: function-url, url: "{url}", auth: secret-header, secret: guard, groups: "*", shareable: true}}
  - {{slug: signed, title: Signed, kind: function-url, url: "{url}", auth: sigv4, region: eu-central-1, groups: "*"}}
  - {{slug: object, title: Object, kind: s3, bucket: exports, key: k, region: eu-central-1, groups: "*", delivery: redirect}}
  - {{slug: away, title: Away, kind: http, url: "http://127.0.0.1:9/", groups: "*"}}
"""  # noqa: E501
PREPARE = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
import django
django.setup()
from datetime import timedelta
from django.utils import timezone
from streams.delivery import sharing
from streams.models import Channel, Endpoint, User
for user in User.objects.all():
    user.set_password(os.environ["PASSWORD"])
    user.is_superuser = user.is_staff
    user.save()
hook = Channel(name="hook", kind="webhook")
hook.lead_to(os.environ["HOOK"])
hook.save()
Channel.objects.create(name="mail", kind="mail", address="ops@example.com")
guarded, at = Endpoint.objects.get(slug="guarded"), timezone.now() + timedelta(days=1)
print(sharing.make(
    User.objects.get(username="op"), guarded, query="", expires_at=at, most=9,
    passcode=os.environ["PASSCODE"],
))
"""


@dataclass
class Canaries:
    """Each by what it is.

    `kept` are those that the database has as they are: the keys of sessions, which are looked up by
    a cookie.
    """

    values: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def new(self, name: str) -> str:
        self.values[name] = f"canary-{name}-{secrets.token_hex(12)}"
        return self.values[name]

    def found_in(self, content: bytes, *, kept: bool) -> list[str]:
        """The names of those in it; those that the database may have with `kept`."""
        wanted = self.values | (self.kept if kept else {})
        return [name for name, value in wanted.items() if any(f in content for f in forms(value))]


def forms(value: str) -> set[bytes]:
    """As it is, in an address, in a page, and in base64 wherever in a text it begins."""
    told = {value, urllib.parse.quote(value, safe=""), html.escape(value)}
    coded = {base64.b64encode(b"x" * n + value.encode())[4:-4] for n in range(3)}
    return {one.encode() for one in told} | coded


class Person:
    """Somebody at a browser."""

    def __init__(self, portal: Portal) -> None:
        self.base = f"http://127.0.0.1:{portal.port}"
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.pages: list[tuple[str, bytes]] = []

    def get(
        self, path: str, data: dict[str, str] | None = None, **fields: str
    ) -> tuple[int, bytes]:
        """Status and body, of which all are kept. `data` are sent as a form."""
        headers = {"Accept": "text/html", "Referer": self.base, **fields}
        form = ""
        if data:
            form = urllib.parse.urlencode({**data, "csrfmiddlewaretoken": self.of("csrftoken")})
        request = urllib.request.Request(self.base + path, form.encode() or None, headers)
        try:
            with self.opener.open(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            status, body = exc.code, exc.read()
        self.pages.append((f"{path} {status}", body))
        return status, body

    def of(self, cookie: str) -> str:
        return next((one.value or "" for one in self.jar if one.name == cookie), "")


def tried(portal: Portal, person: Person, canaries: Canaries, link: str) -> None:
    """Downloads that go well, and that fail, of one and the other."""
    key = canaries.values["query"]
    bearer = {"Authorization": f"Bearer {portal.token}"}

    def asked(request: Request, connection: Connection) -> None:
        fits = request.values("x-secret-header") == [CURRENT]
        connection.send(length(b"data") if fits else length(b"no", status="403 No"))

    scripts = [
        asked,
        replying(length(CURRENT.encode(), status="500 Oops")),
        replying(head(f"Location: https://elsewhere.example.com/?key={key}", status="302 Found")),
        replying(f"HTTP/1.1 nonsense {key}\r\n\r\n".encode()),
        replying(head("Transfer-Encoding: chunked") + chunks(b"abc", last=key.encode())),
        replying(head("Content-Length: 99") + b"abc"),
    ]
    for script in scripts:
        case = portal.origin.on(script)
        for fields in (bearer, {**bearer, "Accept": "application/json"}):
            path = f"/exports/guarded/download?case={case.name}&key={key}"
            # A body that is cut raises here, and is no page.
            with contextlib.suppress(Exception):
                person.get(path, None, **fields)
    for slug in ("signed", "object", "away", "nothing"):
        person.get(f"/exports/{slug}/download?key={key}", None, **bearer)
    person.get("/", None, Authorization=f"Bearer {portal.token[:-4]}beef")
    person.get("/exports/guarded/download", None, Authorization=f"Bearer {portal.token[:-4]}beef")
    for passcode in ("wrong", canaries.values["passcode"]):
        person.get(f"/s/{link}", None, **{"X-Passcode": passcode, "Accept": "application/json"})
    person.get(f"/s/{link}x")


def signed_in(portal: Portal, canaries: Canaries, name: str) -> Person:
    person = Person(portal)
    person.get("/accounts/login/")
    wrong = {"username": name, "password": canaries.values["password"] + "x"}
    person.get("/accounts/login/", wrong)
    person.get("/accounts/login/", {"username": name, "password": canaries.values["password"]})
    assert person.of("sessionid"), person.pages[-1]
    canaries.kept[f"session of {name}"] = person.of("sessionid")
    return person


def walked(person: Person) -> int:
    """Every page of the operators' site that a link leads to, two steps deep; how many."""
    todo, seen = ["/operate/"], set()
    for _ in range(3):
        found: set[str] = set()
        for path in todo:
            seen.add(path)
            _, body = person.get(path)
            links = re.findall(r'href="(/operate/[^"#?]*)"', body.decode())
            found |= {html.unescape(one) for one in links if "logout" not in one}
        todo = sorted(found - seen)[:80]
    return len(seen)


def undecryptable(portal: Portal) -> None:
    """What a wrong encryption key makes of a value: an error of the portal's own."""
    with contextlib.closing(sqlite3.connect(portal.folder / "db.sqlite3")) as database, database:
        other = Fernet(Fernet.generate_key()).encrypt(b"something else").decode()
        database.execute("update streams_secretversion set value = ?", [other])


def manage(portal: Portal, *words: str, **more: str) -> str:
    return subprocess.run(
        [sys.executable, *words], cwd=ROOT, env={**portal.environment, **more},
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip


@pytest.fixture
def canaries() -> Canaries:
    made = Canaries({"current secret": CURRENT, "previous secret": PREVIOUS})
    for name in (
        "query",
        "passcode",
        "password",
        "mail",
        "metrics",
        "secret-key",
        "webhook",
        "entered",
    ):
        made.new(name)
    made.values["aws"] = "canaryaws" + secrets.token_hex(16)
    made.values["encryption key"] = Fernet.generate_key().decode()
    return made


@pytest.mark.timeout(300)
def test_no_secret_is_anywhere_but_where_it_belongs(
    tmp_path: Path, origin: Origin, canaries: Canaries
) -> None:
    known = canaries.values
    settings: dict[str, Any] = {
        "SPILLWAY_LOG_LEVEL": "debug",
        "SPILLWAY_TICK": "1",
        "SPILLWAY_SECRET_KEY": known["secret-key"],
        "SPILLWAY_ENCRYPTION_KEYS": known["encryption key"],
        "SPILLWAY_METRICS_TOKEN": known["metrics"],
        "SPILLWAY_EMAIL_URL": f"smtps://user:{known['mail']}@127.0.0.1:9",
        "SPILLWAY_EMAIL_FROM": "portal@example.com",
        "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": known["aws"],
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    registry = REGISTRY.format(url=origin.url)
    with collecting() as collector:
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.url
        with running(tmp_path, origin, registry_text=registry, **settings) as portal:
            seen = gone_through(portal, canaries, tmp_path)
        seen += [("spans", body) for body in collector.bodies]

    assert len(collector.named("download")) > 10
    ticks = {one.span_id for one in collector.named("streams.tasks.advance_due")}
    assert {one.parent_span_id for one in collector.named("streams.tasks.advance_rotation")} & ticks
    log = (tmp_path / "log").read_text()
    assert "UndecryptableError" in log, "what was raised is told"
    assert '"level": "debug"' in log
    for place, content in seen:
        assert not canaries.found_in(content, kept=True), place
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"log", "worker-log", "db.sqlite3"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        assert not canaries.found_in(content, kept="sqlite3" not in path.name), path


def gone_through(portal: Portal, canaries: Canaries, folder: Path) -> list[tuple[str, bytes]]:
    """All that is done; what was seen meanwhile, by where."""
    known = canaries.values
    link = manage(
        portal, "-c", PREPARE, PASSWORD=known["password"], PASSCODE=known["passcode"],
        HOOK=f"http://127.0.0.1:9/{known['webhook']}",
    )  # fmt: skip
    known["token"], known["link"] = (text.partition("_")[2] for text in (portal.token, link))
    ann, op = (signed_in(portal, canaries, name) for name in ("ann", "op"))
    tried(portal, ann, canaries, link)
    channel = {"name": "entered", "kind": "webhook", "events": "rotation-stuck", "enabled": "on"}
    channel["address"] = f"http://127.0.0.1:9/{known['entered']}"
    assert b"whsec_" in op.get("/operate/streams/channel/add/", channel)[1]
    # Nobody takes the messages yet.
    manage(portal, "manage.py", "rotate", "guard")
    messages = [path.read_bytes() for path in (folder / "broker").rglob("*.msg")]
    assert any(b"advance_rotation" in one for one in messages)
    log = folder / "worker-log"
    with working(portal.environment, log):
        told = ('"rotation": 1', "notice_postponed", "doctor_examined")
        assert until(lambda: all(one in log.read_text() for one in told), 90), log.read_text()
    bearer = {"Authorization": f"Bearer {known['metrics']}"}
    assert ann.get("/metrics", None, **bearer)[0] == 200
    assert ann.get("/metrics")[0] == 401
    undecryptable(portal)
    for accept in ("text/html", "application/json"):
        fields = {"Authorization": f"Bearer {portal.token}", "Accept": accept}
        path = f"/exports/guarded/download?key={known['query']}"
        assert ann.get(path, None, **fields)[0] == 500
    assert walked(op) > 60
    return [("messages", one) for one in messages] + ann.pages + op.pages
