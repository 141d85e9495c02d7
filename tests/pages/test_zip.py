"""Several exports as one zip, as their user sees it; and downloads that their user ends."""

import re
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone
from django.utils.html import escape

from streams.access.identity import Identity
from streams.delivery import bundles, stopping, throttle
from streams.delivery.conditions import Asked
from streams.delivery.downloads import NotVisibleError, permit
from streams.delivery.limits import LimitError
from streams.models import Checkup, Download, Endpoint, Health, PartDigests, State, User
from tests.accounts.test_sign_in import PLACES, stays
from tests.pages.test_pages import ann, browser, download, export

__all__ = ["ann", "browser"]

pytestmark = pytest.mark.django_db
NEEDS = [{"name": "since", "type": "date", "required": True}]


def zipped(ann: User, *rows: tuple[str, str, int]) -> uuid.UUID:
    """The records of a zip, of exports `a`, `b` and so on: state, reason and bytes of each."""
    bundle = uuid.uuid4()
    for number, (state, reason, sent) in enumerate(rows):
        running = state == State.RUNNING
        slug = "abcdef"[number]
        endpoint = Endpoint.objects.filter(slug=slug).first() or export(slug, everyone=True)
        now = timezone.now()
        download(
            endpoint, ann, state=state, reason=reason, sent=sent, size=10, bundle=bundle,
            filename=f"{slug}.csv", finished_at=None if running else now,
            first_byte_at=now if sent else None, started_at=now + timedelta(seconds=number),
        )  # fmt: skip
    return bundle


def test_the_catalogue_offers_what_needs_no_choice(browser: Client) -> None:
    export("orders", everyone=True)
    export("people", everyone=True)
    export("since", everyone=True, params=NEEDS)

    page = browser.get("/").content.decode()

    assert page.count('name="export"') == 2
    assert 'value="since"' not in page
    assert 'action="/zip/"' in page


def test_one_alone_needs_no_zip(browser: Client) -> None:
    export("orders", everyone=True)
    export("since", everyone=True, params=NEEDS)

    assert "/zip/" not in browser.get("/").content.decode()


def failing(endpoint: Endpoint) -> None:
    Checkup.objects.create(endpoint=endpoint, health=Health.FAILING, looked_at=timezone.now())


def test_what_is_unavailable_cannot_be_picked_and_says_why(browser: Client) -> None:
    for slug in ("orders", "people", "away"):
        export(slug, everyone=True)
    failing(Endpoint.objects.get(slug="away"))

    page = browser.get("/").content.decode()

    boxes = re.findall(r'<input type="checkbox" name="export" value="(\w+)"([^>]*)>', page)
    told = {slug: "disabled" in rest for slug, rest in boxes}
    assert told == {"orders": False, "people": False, "away": True}
    [reason] = re.findall(r'aria-describedby="([\w-]+)" disabled', page)
    assert re.search(rf'id="{reason}"[^>]*>not while it is unavailable<', page)


def test_of_one_that_is_ready_there_is_no_zip(browser: Client) -> None:
    export("orders", everyone=True)
    away = export("away", everyone=True)
    failing(away)

    assert "/zip/" not in browser.get("/").content.decode()


def test_the_page_says_what_is_in_it_how_large_and_that_it_cannot_be_resumed(
    browser: Client, ann: User
) -> None:
    for slug, sent in (("orders", 2_000_000), ("people", 3_000_000)):
        download(export(slug, everyone=True), ann, sent=sent, size=sent)
    export("rare", everyone=True)

    page = browser.get("/zip/?export=orders&export=people&export=rare").content.decode()
    both = browser.get("/zip/?export=orders&export=people&export=orders").content.decode()

    assert "In all 5.0 MB when they were last fetched, and one of unknown size." in page
    assert "A zip cannot be resumed" in page
    assert 'href="/zip/download?export=orders&amp;export=people&amp;export=rare"' in page
    assert "In all 5.0 MB when they were last fetched." in both
    assert 'href="/zip/download?export=orders&amp;export=people"' in both


def test_without_any_one_is_sent_to_pick(browser: Client) -> None:
    answer = browser.get("/zip/", follow=True)

    assert answer.redirect_chain == [("/", 302)]
    assert "Pick the exports first" in answer.content.decode()


def test_what_has_to_be_chosen_first_is_named_and_there_is_no_button(browser: Client) -> None:
    export("orders", everyone=True)
    export("since", everyone=True, params=NEEDS)

    page = browser.get("/zip/?export=orders&export=since").content.decode()
    chosen = browser.get("/zip/?export=orders&export=since%3Fsince%3D2026-01-31").content.decode()

    assert "since: This field is required." in page
    assert "/zip/download" not in page
    assert "export=since%3Fsince%3D2026-01-31" in chosen


def test_too_many_are_too_many(browser: Client) -> None:
    export("orders", everyone=True)
    query = "&".join(f"export=orders%3Fn%3D{number}" for number in range(bundles.MOST + 1))

    page = browser.get(f"/zip/?{query}").content.decode()

    assert "A zip has 100 exports at most" in page
    assert "/zip/download" not in page


def test_what_one_may_not_have_is_not_there(browser: Client) -> None:
    export("orders", everyone=True)
    export("secret")

    assert browser.get("/zip/?export=orders&export=secret").status_code == 404


@pytest.mark.parametrize("path", ["/zip/?export=orders", "/zip/progress"])
def test_a_stranger_is_sent_to_sign_in(client: Client, path: str) -> None:
    assert client.get(path)["Location"].startswith("/accounts/login/?next=/zip/")


@pytest.mark.parametrize(
    ("rows", "state", "note"),
    [
        (
            [("complete", "", 10), ("running", "", 4), ("running", "", 0)],
            "running",
            "2 of 3: b.csv",
        ),
        ([("running", "", 0), ("running", "", 0)], "running", ""),
        ([("complete", "", 10), ("complete", "", 10)], "complete", ""),
        (
            [("complete", "", 10), ("cut", "changed", 4), ("cancelled", "not_reached", 0)],
            "cut",
            "1 of 3 were sent; it ended at b.csv.",
        ),
        (
            [("complete", "", 10), ("failed", "origin_not_found", 0)],
            "cut",
            "1 of 2 were sent; it ended at b.csv.",
        ),
        (
            [("failed", "origin_not_found", 0), ("cancelled", "not_reached", 0)],
            "failed",
            "0 of 2 were sent; it ended at a.csv.",
        ),
        (
            [("interrupted", "process_ended", 4), ("interrupted", "process_ended", 0)],
            "interrupted",
            "0 of 2 were sent",
        ),
    ],
)  # fmt: skip
def test_its_progress_is_that_of_one_download(
    browser: Client, ann: User, rows: list[Any], state: str, note: str
) -> None:
    bundle = zipped(ann, *rows)

    (told,) = browser.get("/zip/progress").json()["downloads"]

    assert (told["id"], told["state"], told["resumable"]) == (str(bundle), state, False)
    assert (told["sent"], told["size"]) == (sum(row[2] for row in rows), 10 * len(rows))
    assert note in told["note"]
    assert bool(told["note"]) == bool(note)


def test_it_is_ones_own_and_not_among_the_downloads_of_its_exports(
    client: Client, ann: User
) -> None:
    zipped(ann, ("running", "", 4), ("running", "", 0))
    client.force_login(User.objects.create_user("ben"))
    assert client.get("/zip/progress").json()["downloads"] == []

    client.force_login(ann)

    assert client.get("/exports/a/progress").json()["downloads"] == []
    assert "Downloaded lately" not in client.get("/exports/a/").content.decode()


def test_the_history_says_that_what_was_sent_whole_was_in_a_zip_that_was_cut(
    browser: Client, ann: User
) -> None:
    zipped(ann, ("complete", "", 10), ("cut", "changed", 4))

    page = browser.get("/downloads/").content.decode()

    name = bundles.name_of(timezone.now())
    assert page.count(f"in {name}, which is cut") == 2


def test_of_ones_limits_a_zip_is_one_download(ann: User, settings: Any) -> None:
    settings.USER_CONCURRENT = 1
    for slug in "abc":
        export(slug, everyone=True)

    permitted = bundles.permit(Identity(ann), ["c", "a", "b"])

    assert [one.record.slug for one in permitted] == ["c", "a", "b"]
    assert len({one.record.bundle for one in permitted}) == 1
    with pytest.raises(LimitError, match="as you may have at a time"):
        bundles.permit(Identity(ann), ["a", "b"])
    assert Download.objects.count() == 3


def test_each_takes_a_place_of_its_export_or_none_does(ann: User) -> None:
    busy = export("busy", everyone=True, limits={"concurrent": 1})
    export("free", everyone=True)
    download(busy, ann, state="running", finished_at=None)

    with pytest.raises(LimitError, match="busy: ") as raised:
        bundles.permit(Identity(ann), ["free", "busy"])

    assert raised.value.code == "export_busy"
    assert Download.objects.count() == 1


def test_what_waits_for_its_turn_draws_no_bandwidth(ann: User) -> None:
    zipped(ann, ("running", "", 4), ("running", "", 0), ("running", "", 0))

    key = throttle.Key(ann.pk, None)

    assert throttle.running([key]) == {key: 1}


def test_permission_is_asked_for_each(ann: User) -> None:
    export("open", everyone=True)
    closed = export("closed")
    closed.readers.add(Group.objects.create(name="others"))

    with pytest.raises(NotVisibleError, match="closed"):
        bundles.permit(Identity(ann), ["open", "closed"])

    assert not Download.objects.exists()


def test_one_ends_ones_own_download(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True)
    running = download(orders, ann, state="running", finished_at=None)

    answer = browser.post(
        f"/downloads/{running.pk}/cancel", {"next": "/exports/orders/?a=b"}, follow=True
    )
    again = browser.post(f"/downloads/{running.pk}/cancel", follow=True)

    assert answer.redirect_chain == [("/exports/orders/?a=b", 302)]
    assert "It will end within seconds." in answer.content.decode()
    assert again.redirect_chain == [("/downloads/", 302)]
    assert "It had ended" in again.content.decode()
    assert stopping.asked() == {running.pk: "cancelled"}
    running.refresh_from_db()
    assert running.stopped_by == "ann"
    with pytest.raises(LimitError, match="You cancelled it") as raised:
        stopping.refuse_resume(running)
    assert raised.value.code == "cancelled"


def test_a_zip_is_ended_as_a_whole_by_its_user_or_an_operator(browser: Client, ann: User) -> None:
    bundle = zipped(ann, ("complete", "", 10), ("running", "", 4), ("running", "", 0))
    other = zipped(ann, ("running", "", 4), ("running", "", 0))
    running = Download.objects.filter(bundle=bundle, state="running")

    browser.post(f"/downloads/{bundle}/cancel")
    first = Download.objects.filter(bundle=other).first()
    assert first is not None
    stopping.stop(first, by=User.objects.create_user("op"), reason="Enough.")

    asked = stopping.asked()
    assert {asked[row.pk] for row in running} == {"cancelled"}
    assert sorted(asked.values()) == ["cancelled", "cancelled", "stopped", "stopped"]


def test_nobody_ends_somebody_elses(client: Client, ann: User) -> None:
    running = download(export("orders", everyone=True), ann, state="running", finished_at=None)
    bundle = zipped(ann, ("running", "", 4))
    client.force_login(User.objects.create_user("ben"))

    for pk in (running.pk, bundle, uuid.uuid4()):
        assert client.post(f"/downloads/{pk}/cancel").status_code == 404
    assert client.get(f"/downloads/{running.pk}/cancel").status_code == 405
    assert stopping.asked() == {}
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ann)
    assert strict.post(f"/downloads/{running.pk}/cancel").status_code == 403


@pytest.mark.slow
def test_ending_one_never_leads_elsewhere(browser: Client, ann: User) -> None:
    running = download(export("orders", everyone=True), ann, state="running", finished_at=None)

    for place in PLACES:
        answer = browser.post(f"/downloads/{running.pk}/cancel", {"next": place})
        assert answer.status_code == 302, place
        assert stays(answer["Location"]), place


def test_the_button_that_ends_one_needs_no_script(browser: Client, ann: User) -> None:
    orders = export("orders", everyone=True)
    running = download(orders, ann, state="running", finished_at=None)

    page = browser.get("/exports/orders/?a=1&b=%22").content.decode()

    assert f'action="/downloads/{running.pk}/cancel"' in page
    assert escape("/exports/orders/?a=1&b=%22") in page


def test_after_a_cut_the_browsers_own_list_starts_nothing_anew(ann: User) -> None:
    export("a", everyone=True)
    export("b", everyone=True)
    bundles.permit(Identity(ann), ["a", "b"], again=True)
    Download.objects.update(state="complete", finished_at=timezone.now())
    bundles.permit(Identity(ann), ["a", "b"], again=True)
    Download.objects.update(state="cut", reason="changed", finished_at=timezone.now())

    with pytest.raises(LimitError, match="does not start again") as raised:
        bundles.permit(Identity(ann), ["a", "b"], again=True)
    bundles.permit(Identity(ann), ["a", "b"])

    assert raised.value.code == "zip_cut"


def test_what_was_cancelled_is_not_started_anew_by_the_browser(ann: User) -> None:
    orders = export("orders", everyone=True)
    download(orders, ann, state="cancelled", reason="cancelled", stop_asked_at=timezone.now())
    asked = Asked("", None, None, None, None, head_only=False)

    permit(Identity(ann), "orders", asked)
    with pytest.raises(LimitError, match="You cancelled it"):
        permit(Identity(ann), "orders", replace(asked, again=True))


def test_what_it_has_in_it_is_told_in_order_with_the_digests_of_its_parts(
    browser: Client, ann: User
) -> None:
    bundle = zipped(ann, (State.COMPLETE, "", 10), (State.COMPLETE, "", 10))
    first, _ = ann.downloads.filter(bundle=bundle).order_by("started_at")
    PartDigests.objects.create(download=first, first=0, digests=b"\1" * 32)

    told = browser.get(f"/zip/{bundle}/parts").json()["members"]

    assert [(one["name"], one["size"]) for one in told] == [("a.csv", 10), ("b.csv", 10)]
    assert [one["digests"] for one in told] == [["01" * 32], []]
    page = browser.get("/zip/?export=a&export=b").content.decode()
    assert f'data-url="/zip/{bundle}/parts"' in page
    assert browser.get("/zip/progress").json()["downloads"][0]["parts"] == f"/zip/{bundle}/parts"


def test_of_one_that_was_cut_there_is_nothing_to_hold_a_copy_against(
    browser: Client, ann: User
) -> None:
    bundle = zipped(ann, (State.COMPLETE, "", 10), (State.CUT, "stalled", 3))

    assert browser.get(f"/zip/{bundle}/parts").status_code == 404
    assert 'data-url=""' in browser.get("/zip/?export=a&export=b").content.decode()
