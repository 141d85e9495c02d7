"""The page of a rotation while it runs: its worker is killed, another goes on, the page follows."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.functional.browsing import browser, complaints, page, sign_in
from tests.functional.conftest import Portal
from tests.functional.origin import Origin
from tests.functional.test_rotation import HEADER, Stage, answer_of, stage

__all__ = ["browser", "complaints", "page"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(origin: Origin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("timeline"), origin) as running:
        yield running


@pytest.fixture(scope="module")
def portal(made: Stage) -> Portal:
    return made.portal


@pytest.mark.timeout(300)
def test_a_rotation_is_followed_to_its_end_though_its_worker_is_killed(
    made: Stage, page: Page, browser: Browser
) -> None:
    old = made.variables()["SECRET_HEADER"]
    sign_in(page, "op")
    page.goto("/operate/streams/secret/1/rotate/")
    expect(page.get_by_text("REST API")).to_be_visible()
    expect(page.get_by_text("No request is refused:")).to_be_visible()
    made.work(1)
    page.get_by_role("button", name="Rotate", exact=True).click()
    # A page that is loaded anew has no such thing.
    page.evaluate("window.isTheSame = true")
    status = page.locator("#state").get_by_role("status")
    now = page.locator("#steps [aria-current=step]")

    # Something is changed already, and nothing proven.
    expect(status).to_have_text(re.compile("At (admit|prove both|switch)"), timeout=60_000)
    made.kill(1)
    where = made.step()
    assert where[1] == "running", "it was over before its worker was killed"
    expect(now).to_contain_text(str(where[2]))
    expect(page.locator("#state")).to_contain_text("running")

    made.work(2)
    expect(status).to_contain_text("It took", timeout=120_000)

    assert page.evaluate("window.isTheSame")
    expect(page.locator("#state")).to_contain_text("completed")
    expect(now).to_have_count(0)
    steps = page.locator("#steps > li")
    words = steps.locator(".word").all_inner_texts()
    assert set(words) == {"done"}, words
    assert len(words) > 8
    for name in ("prove both", "prove new"):
        expect(steps.filter(has_text=name).locator("ul li").first).to_be_visible()
    # Nobody looks again at what has ended.
    expect(page.locator("[data-again]")).to_have_count(0)
    expect(page.get_by_role("button", name="Resume")).to_have_count(0)
    new = made.variables()
    assert new["SECRET_HEADER"] != old
    assert "SECRET_HEADER_NEXT" not in new
    assert answer_of(made.url, **{HEADER: old})[0] == 403
    assert old not in page.content()
    assert new["SECRET_HEADER"] not in page.content()
