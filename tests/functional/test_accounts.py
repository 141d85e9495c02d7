"""Accounts in a real Chromium: without JavaScript, with an app, a passkey and a provider."""

import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, Page, expect

from tests.accounts.provider import Provider
from tests.functional.browsing import browser, complaints, sign_in
from tests.functional.conftest import Portal, running
from tests.functional.origin import Origin
from tests.functional.test_accessibility import faults, faults_here

__all__ = ["browser", "complaints"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Passkeys are bound to a host name; browsers take that of the machine itself without https.
HOST = "localhost"
WAYS = ["", " with a passkey", " with Company"]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    made.claims = {"sub": "42", "preferred_username": "bea", "email": "bea@example.com"}
    yield made
    made.close()


@pytest.fixture(scope="module")
def portal(
    origin: Origin, provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Portal]:
    folder: Path = tmp_path_factory.mktemp("accounts")
    setting = folder / "providers.yaml"
    setting.write_text(yaml.safe_dump([provider.app(create=True)]))
    with running(folder, origin, SPILLWAY_OIDC_PROVIDERS_FILE=str(setting)) as made:
        yield made


@pytest.fixture
def page(browser: Browser, portal: Portal, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(base_url=f"http://{HOST}:{portal.port}", locale="en-GB")
    context.set_default_timeout(20_000)
    made = context.new_page()
    made.on("console", lambda one: complaints.append(one.text) if one.type == "error" else None)
    yield made
    context.close()
    assert complaints == []


def signed_in(page: Page) -> None:
    expect(page.get_by_role("heading", name="Exports")).to_be_visible(timeout=20_000)


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out", exact=True).click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_password_needs_no_javascript(browser: Browser, portal: Portal) -> None:
    context = browser.new_context(
        base_url=f"http://{HOST}:{portal.port}", java_script_enabled=False
    )
    page = context.new_page()
    page.goto("/accounts/login/")
    expect(page.get_by_role("button", name="Sign in with a passkey")).to_be_hidden()
    page.get_by_label("User name").fill("ann")
    page.get_by_label("Password").fill("tests-only")
    page.get_by_role("button", name="Sign in", exact=True).click()
    signed_in(page)

    # Nor do a provider, and a token.
    page.goto("/accounts/tokens/")
    page.get_by_label("What it is for").fill("cron")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_text(re.compile("spw_[0-9a-f]{12}_.{43}"))).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with Company").click()
    signed_in(page)
    context.close()


def test_a_provider_is_one_button_away(portal: Portal, page: Page) -> None:
    page.goto("/accounts/login/?next=/exports/plain/")

    page.get_by_role("button", name="Sign in with Company").click()

    page.wait_for_url("**/exports/plain/")
    expect(page.get_by_role("link", name="bea")).to_be_visible()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_ways_to_sign_in_have_room_between_them(portal: Portal, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto("/accounts/login/")
    ways = [page.get_by_role("button", name=f"Sign in{way}", exact=True) for way in WAYS]
    page.evaluate("document.querySelector('#passkey-problem').hidden = false")

    first, *others = boxes = [way.bounding_box() for way in [*ways, page.get_by_role("alert")]]

    assert first is not None
    for one in others:
        assert one is not None
        assert one["width"] == first["width"]
    edges = sorted((box["y"], box["y"] + box["height"]) for box in boxes if box)
    rooms = [below[0] - above[1] for above, below in pairwise(edges)]
    assert min(rooms) >= 5, rooms


def test_an_app_is_set_up_and_asked_for(portal: Portal, page: Page) -> None:
    sign_in(page, "op")
    page.goto("/accounts/security/app/add/")
    secret = page.get_by_label("Authenticator secret").input_value()
    found = faults_here(page)
    page.get_by_label("Code").fill(_code(secret, 0))
    page.get_by_role("button", name="Activate").click()
    codes = page.get_by_label("Unused codes").input_value().split()
    assert len(codes) == 10
    found |= faults_here(page)
    page.goto("/")
    sign_out(page)

    page.goto("/operate/")
    page.get_by_label("User name").fill("op")
    page.get_by_label("Password").fill("tests-only")
    page.keyboard.press("Enter")
    field = page.get_by_label("Code of your app, or a recovery code")
    expect(field).to_be_focused()
    found |= faults_here(page)
    field.fill(codes[0])
    page.keyboard.press("Enter")
    page.wait_for_url("**/operate/")

    assert not found, found


def _code(secret: str, steps: int) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps)))


def test_a_passkey_is_set_up_and_signs_in_alone(portal: Portal, page: Page) -> None:
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2", "transport": "internal", "hasResidentKey": True,
                "hasUserVerification": True, "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )  # fmt: skip
    sign_in(page)
    page.goto("/accounts/security/passkeys/add/")
    found = faults_here(page)
    page.get_by_label("Passwordless").check()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Recovery Codes")).to_be_visible()
    page.goto("/")
    sign_out(page)

    page.goto("/accounts/login/?next=/exports/plain/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url("**/exports/plain/")
    expect(page.get_by_role("link", name="ann")).to_be_visible()

    found_pages = faults(
        page,
        [f"/accounts/{part}/" for part in (
            "security", "security/passkeys", "sessions", "tokens", "password", "providers",
        )],
    )  # fmt: skip
    assert not found, found
    assert not found_pages, "\n".join(found_pages)
