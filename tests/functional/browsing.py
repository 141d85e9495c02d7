"""A real Chromium in front of the real server: fixtures for tests of what people see."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.functional.conftest import Portal

# On a busy machine a page comes late; what never comes fails all the same.
expect.set_options(timeout=20_000)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # The last options keep Chromium from calling home; as root it has no sandbox of its own.
    options = [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
        "--disable-component-update", "--disable-sync",
    ]  # fmt: skip
    if CHROMIUM is None:
        pytest.skip("needs the program chromium")
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield made
        made.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser wrote into its console: a blocked script, a missing file."""
    return []


@pytest.fixture
def page(browser: Browser, portal: Portal, complaints: list[str]) -> Iterator[Page]:
    """A window of somebody who has not signed in; a complaint of the browser fails the test."""
    context = browser.new_context(base_url=f"http://127.0.0.1:{portal.port}", locale="en-GB")
    context.set_default_timeout(10_000)
    made = context.new_page()

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.text} ({message.location})")

    made.on("console", heard)
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert complaints == []


def sign_in(page: Page, user: str = "ann") -> None:
    page.goto("/accounts/login/")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password").fill("tests-only")
    page.keyboard.press("Enter")
    # A password is hashed slowly, and more so on a busy machine.
    expect(page.get_by_role("heading", name="Exports")).to_be_visible(timeout=20_000)
