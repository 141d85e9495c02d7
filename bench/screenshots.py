"""`python -m bench.screenshots`: the pictures in `docs/screenshots/`, of a portal that is made up.

A portal of its own in a folder that is removed afterwards, filled by `bench.seed` and served by
`manage.py serve`; a real Chromium looks at it. Times are relative to now, so that pictures differ a
little from one run to the next.
"""

import argparse
import contextlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlencode

import django

from bench.processes import ROOT, Child, free_port, listening

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PASSWORD = "spillway-bench"
# JPEG: a page's text stays legible, and a picture takes some 60 kB.
QUALITY = 55
DESK, PHONE = (1280, 800), (390, 844)
Scheme = Literal["light", "dark"]
OPERATORS = "administrator"
END_USER = "user00000"


@dataclass(frozen=True)
class Shot:
    """`also`: in dark, and on a phone, besides."""

    name: str
    path: str
    who: str = OPERATORS
    also: bool = False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots", description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument("--only", default="", metavar="TEXT", help="pictures whose name has it")
    wanted = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        parser.error("needs the program chromium")
    wanted.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spillway-screenshots-") as folder:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SPILLWAY_STATE_DIR": folder,
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        }
        shots = [one for one in _prepared() if wanted.only in one.name]
        with _serving(Path(folder)) as address:
            _take(shots, address, chromium, wanted.into)
    return 0


def _prepared() -> list[Shot]:
    """Fills the portal, and says what there is to see. No database is asked afterwards."""
    django.setup()
    from django.core.management import call_command
    from django.utils import timezone

    from bench.seed import filling
    from streams.models import User

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    filling.everything(
        endpoints=60, downloads=20_000, audit=500, users=40, dice=random.Random(1),
        now=timezone.now(), password=PASSWORD,
    )  # fmt: skip
    user = User.objects.get(username=END_USER)
    user.set_password(PASSWORD)
    user.save()
    return [*_operators(), *_end_users()]


def _operators() -> Iterator[Shot]:
    from django.db.models import Max
    from django.urls import reverse

    from bench.addresses import addresses
    from streams.models import Checkup, Endpoint, Rotation

    def admin(name: str, *args: object) -> str:
        return reverse(f"admin:{name}", args=args)

    failing = Checkup.objects.filter(health="failing", endpoint__isnull=False).earliest("pk")
    told = Rotation.objects.annotate(last=Max("events")).filter(last__isnull=False).latest("pk")
    yield Shot("overview", admin("index") + "?range=7d", also=True)
    yield Shot("endpoint-list", admin("streams_endpoint_changelist"))
    busiest = Endpoint.objects.earliest("pk")
    yield Shot("endpoint", admin("streams_endpoint_status", busiest.pk), also=True)
    yield Shot("endpoint-settings", admin("streams_endpoint_change", busiest.pk))
    yield Shot("doctor", admin("streams_endpoint_doctor", failing.endpoint_id), also=True)
    yield Shot("rotation", admin("streams_rotation_change", told.pk))
    yield Shot("downloads-now", admin("streams_download_live"))
    # Not the entry that names the machine on which this runs.
    yield Shot("audit-log", admin("streams_auditentry_changelist") + "?action=download.ended")
    yield Shot("search", admin("search") + "?s=export-0001")
    # The others as the site's own patterns have them.
    others = {name: path for name, path in addresses() if name in _OTHERS}
    yield from (Shot(name, others[view]) for view, name in _OTHERS.items())


_OTHERS = {
    "doctor": "doctor-of-the-portal",
    "settings": "settings",
    "streams_endpoint_add": "endpoint-add",
    "streams_secret_changelist": "secret-list",
    "streams_secret_change": "secret",
    "streams_secret_revelation": "secret-reveal",
    "streams_secret_rotation": "secret-rotate",
    "streams_rotation_changelist": "rotation-list",
    "streams_download_changelist": "download-list",
    "streams_download_change": "download",
    "streams_user_changelist": "user-list",
    "streams_user_exports": "user-exports",
    "auth_group_change": "group",
    "streams_apitoken_changelist": "token-list",
    "streams_sharelink_changelist": "link-list",
    "streams_auditentry_verify": "audit-verify",
    "streams_channel_changelist": "channel-list",
    "streams_notice_changelist": "notice-list",
    "streams_setup_changelist": "setup-list",
}


def _end_users() -> Iterator[Shot]:
    from django.urls import reverse

    from streams.models import Endpoint, User

    user = User.objects.get(username=END_USER)
    mine = Endpoint.objects.visible_to(user).earliest("pk")
    yield Shot("sign-in", reverse("login"), who="")
    yield Shot("catalogue", reverse("catalogue"), who=END_USER, also=True)
    yield Shot("export", reverse("export", args=[mine.slug]), who=END_USER, also=True)
    several = Endpoint.objects.visible_to(user).filter(params=[]).exclude(pk=mine.pk)[:2]
    picked = urlencode({"export": [mine.slug, *(one.slug for one in several)]}, doseq=True)
    yield Shot("zip", f"{reverse('zip')}?{picked}", who=END_USER)
    yield Shot("history", reverse("history"), who=END_USER)
    yield Shot("my-links", reverse("links"), who=END_USER)
    yield Shot("my-tokens", reverse("tokens"), who=END_USER)


@contextlib.contextmanager
def _serving(folder: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "manage.py", "serve", "--bind", f"127.0.0.1:{port}"]
    server = Child.start([*command, "--workers", "1"], log=folder / "log")
    try:
        if not listening(port, server, within=60):
            raise RuntimeError((folder / "log").read_text())
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def _take(shots: list[Shot], address: str, chromium: str, into: Path) -> None:
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        for who in dict.fromkeys(one.who for one in shots):
            page = _signed_in(browser, address, who)
            for shot in (one for one in shots if one.who == who):
                _looks(page, shot, into)
            page.context.close()


def _signed_in(browser: "Browser", address: str, who: str) -> "Page":
    page = browser.new_context(base_url=address, locale="en-GB").new_page()
    if who:
        page.goto("/accounts/login/")
        page.get_by_label("User name").fill(who)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Exports").wait_for()
    return page


def _looks(page: "Page", shot: Shot, into: Path) -> None:
    _look(page, shot, "light", DESK, into / f"{shot.name}.jpg")
    if shot.also:
        _look(page, shot, "dark", DESK, into / f"{shot.name}-dark.jpg")
        _look(page, shot, "light", PHONE, into / f"{shot.name}-phone.jpg")


def _look(page: "Page", shot: Shot, scheme: Scheme, size: tuple[int, int], file: Path) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    answer = page.goto(shot.path)
    if answer is None or answer.status != 200:
        raise RuntimeError(f"{shot.path} answers {answer and answer.status}")
    page.wait_for_load_state("networkidle")
    page.screenshot(path=file, type="jpeg", quality=QUALITY, animations="disabled")
    print(f"{file.stat().st_size / 1000:5.0f} kB  {file.name}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
