"""An operator who has no mouse: what has the focus must be seen, and everything be reached."""

import re

from playwright.sync_api import Locator, Page, expect

# Tab after which somebody would give up.
MOST = 150
# Behind the last stop, and before the first one, a browser goes through its own window.
_OUTSIDE = "() => document.activeElement === document.body"
# Whether the element that has the focus looks so: an outline, or a ring of Unfold's.
_SEEN = """() => {
  const style = getComputedStyle(document.activeElement);
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  const box = document.activeElement.getBoundingClientRect();
  const inside = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return (outlined || style.boxShadow !== "none") && inside;
}"""
_TOLD = "() => document.activeElement.outerHTML.slice(0, 200)"


def has_focus(wanted: Locator) -> bool:
    return bool(wanted.evaluate("one => one === document.activeElement"))


def expect_seen(page: Page) -> None:
    """That what has the focus shows it, where it can be seen."""
    assert page.evaluate(_SEEN), f"no visible focus: {page.evaluate(_TOLD)}"


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Until it has the focus; each stop on the way shows its own."""
    expect(wanted).to_be_visible()
    for _ in range(MOST):
        if has_focus(wanted):
            expect_seen(page)
            return
        page.keyboard.press(key)
        if not page.evaluate(_OUTSIDE):
            expect_seen(page)
    raise AssertionError(f"not reached with {key}: {wanted}")


def press(page: Page, wanted: Locator, key: str = "Enter") -> None:
    tab_to(page, wanted)
    page.keyboard.press(key)


def enter(page: Page, label: str | re.Pattern[str], text: str) -> None:
    """In place of what stands in the field."""
    tab_to(page, page.get_by_role("textbox", name=label, exact=True))
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(text)
