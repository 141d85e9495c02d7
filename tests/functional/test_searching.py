"""Ctrl+K in a real browser: by the keyboard alone, and axe finds nothing while it is open."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal
from tests.functional.test_accessibility import faults_here

__all__ = ["browser", "complaints", "page"]


@pytest.mark.slow
def test_by_the_keyboard_alone(portal: Portal, page: Page) -> None:
    sign_in(page, "op")
    page.goto("/operate/")
    # By the link in the sidebar too, and back where one was.
    page.get_by_role("link", name="Search …").press("Enter")
    dialog = page.get_by_role("dialog", name="Search")
    expect(dialog.get_by_label("Search everything")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="Search …")).to_be_focused()

    page.keyboard.press("Control+k")
    page.keyboard.type("no such thing")
    expect(dialog.get_by_role("status")).to_contain_text("Nothing matches")
    page.keyboard.press("Control+k")
    page.keyboard.type("pla")
    hit = dialog.get_by_role("link", name="Plain").first
    expect(hit).to_be_visible()
    assert faults_here(page) == {}
    page.keyboard.press("ArrowDown")
    expect(hit).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(dialog.get_by_label("Search everything")).to_be_focused()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"/operate/streams/endpoint/\d+/$"))
    page.goto("/operate/search/?s=plain")
    assert faults_here(page) == {}
