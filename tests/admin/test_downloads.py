"""Downloads at /operate/: those of now, the stop, and the list of all with its files."""

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.cache import cache, caches
from django.test import AsyncClient, Client
from django.utils import timezone

from streams.delivery import abandoned
from streams.models import AuditEntry, Download, Endpoint, User

LIST = "/operate/streams/download/"
LIVE = LIST + "live/"


def download(seconds: float = 0, **fields: Any) -> Download:
    """One that began so long ago."""
    now = timezone.now()
    given = {"slug": "orders", "username": "ann", "started_at": now - timedelta(seconds=seconds)}
    if fields.get("state", "running") != "running":
        given["finished_at"] = now
    return Download.objects.create(**given | fields)


def member(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    cache.clear()
    caches["process"].clear()
    return member("operator")


def page(client: Client, address: str) -> str:
    text = client.get(address).content.decode()
    return " ".join(text.replace("\xa0", " ").split())


def test_what_tabs_fetch_of_themselves_is_made_once_for_all(operator: Client) -> None:
    download(60)
    first = operator.get(LIVE, headers={"X-Requested-With": "live"})
    download(60)
    second = operator.get(LIVE, headers={"X-Requested-With": "live"})

    assert b"1 download, the longest first" in first.content
    assert second.content == first.content


def test_of_what_nginx_sends_nothing_is_made_up_and_it_cannot_be_stopped(operator: Client) -> None:
    ahead = timezone.now() + timedelta(hours=12)
    sent = download(60, size=50_000_000, offloaded=True, seen_at=ahead)

    text = page(operator, LIVE)
    assert "50.0 MB, sent by nginx" in text
    assert "cannot be stopped here" in text
    stop = f"{LIST}{sent.pk}/stop/"
    assert "so it cannot be stopped from here" in page(operator, stop)
    operator.post(stop, {"reason": "too long"})

    sent.refresh_from_db()
    assert sent.stop_asked_at is None


def test_what_is_known_of_a_running_download_is_shown_and_the_rest_is_not_made_up(
    operator: Client,
) -> None:
    begun = timezone.now() - timedelta(seconds=177.5)
    download(180, first_byte_at=begun, size=50_000_000, sent=10_000_000, speed=2_000_000,
             resumes=2, address="192.0.2.7")  # fmt: skip
    download(60, username="bob")
    download(60, username="gone", seen_at=timezone.now() - timedelta(seconds=40))

    text = page(operator, LIVE)

    for told in (
        "2 downloads", "10.0 MB of 50.0 MB (20%)", "2.0 MB/s", "20 seconds", "after 2.5 s",
        "2 times", "192.0.2.7", "0 B of unknown size", "not known yet", "not yet",
    ):  # fmt: skip
        assert told in text, told
    assert text.index("ann") < text.index("bob"), "the longest is first"
    assert "gone" not in text
    assert "Peak today" not in text


def test_what_a_live_page_fetches_of_itself_is_its_live_part_alone(operator: Client) -> None:
    download(5)

    answer = operator.get(LIVE, headers={"X-Requested-With": "live"})

    assert 'id="running" data-live data-again' in answer.content.decode()
    assert len(answer.content) < 6000
    assert "no-store" in answer["Cache-Control"]


def test_when_nothing_runs_it_tells_the_peak_of_the_day(operator: Client) -> None:
    assert "Nothing is being downloaded." in page(operator, LIVE)
    today = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)

    def ran(begin: float, end: float) -> None:
        download(state="complete", started_at=today + timedelta(minutes=begin),
                 finished_at=today + timedelta(minutes=end))  # fmt: skip

    for begin, end in [(-60, -10), (-50, -10), (-40, -5), (-5, 3), (1, 4), (2, 9), (4, 5), (9, 10)]:
        ran(begin, end)

    assert Download.objects.all().peak(today) == (3, today + timedelta(minutes=2))
    cache.clear()
    caches["process"].clear()
    assert "Peak today 3 at 00:02." in page(operator, LIVE)


def test_it_is_paged_and_costs_the_same_for_many(
    operator: Client, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    for number in range(60):
        download(number + 1, username=f"user{number}")

    with django_assert_max_num_queries(10):
        first = page(operator, LIVE)
    with django_assert_max_num_queries(8):
        operator.get(LIVE, headers={"X-Requested-With": "live"})
    second = page(operator, LIVE + "?page=2")

    assert first.count("/change/") == 50
    assert "Page 1 of 2" in first
    assert second.count("/change/") == 10
    with django_assert_max_num_queries(14):
        operator.get(LIST)


def test_a_stop_needs_a_reason_and_is_recorded(operator: Client) -> None:
    running = download()
    address = f"{LIST}{running.pk}/stop/"
    assert "Stop it" in page(operator, address)

    assert "Say why" in operator.post(address, {"reason": "  "}).content.decode()
    running.refresh_from_db()
    assert running.stop_asked_at is None

    assert operator.post(address, {"reason": "It fills the line."}).status_code == 302
    again = operator.post(address, {"reason": "Another."}, follow=True)

    assert "somebody else had stopped it" in again.content.decode()
    assert "by operator" in page(operator, LIVE)
    running.refresh_from_db()
    assert (running.stopped_by, running.stop_reason) == ("operator", "It fills the line.")
    entry = AuditEntry.objects.get(action="download.stop-asked")
    assert (entry.actor, entry.what) == ("operator", "orders")
    assert entry.details["reason"] == "It fills the line."


def test_what_has_ended_is_not_stopped_and_what_has_died_is_interrupted(operator: Client) -> None:
    complete = download(state="complete")
    dead = download(seen_at=timezone.now() - timedelta(minutes=5))

    for one in (complete, dead):
        operator.post(f"{LIST}{one.pk}/stop/", {"reason": "Enough."})
    abandoned.interrupt()

    complete.refresh_from_db()
    dead.refresh_from_db()
    assert (complete.state, complete.stopped_by) == ("complete", "")
    assert (dead.state, dead.reason) == ("interrupted", "process_ended")
    assert "There is nothing to stop" in page(operator, f"{LIST}{complete.pk}/stop/").replace(
        "there is", "There is"
    )


def test_who_may_not_operate_it_does_not_stop_it(operator: Client) -> None:
    team = Group.objects.create(name="team")
    closed = Endpoint.objects.create(
        slug="closed", title="Closed", kind="http", url="https://example.com/", operators=team
    )
    theirs, ours = download(endpoint=closed, slug="closed"), download()

    assert operator.post(f"{LIST}{theirs.pk}/stop/", {"reason": "Mine."}).status_code == 404
    assert "closed" not in page(operator, LIVE)
    viewer = member("viewer")
    assert viewer.post(f"{LIST}{ours.pk}/stop/", {"reason": "Mine."}).status_code == 403
    assert "Stop …" not in page(viewer, LIVE)
    assert not Download.objects.filter(stop_asked_at__isnull=False).exists()


def test_the_list_is_filtered_and_searched(operator: Client) -> None:
    ann = User.objects.create_user("annabel")
    download(state="cut", reason="truncated", user=ann, username="annabel", slug="bills")
    # Of an account and an export that are gone.
    lost = download(state="complete", username="left-us", slug="old-export")

    for query, found, not_found in (
        ("?why=truncated", "annabel", "left-us"),
        ("?export=old-export", "left-us", "annabel"),
        ("?state__exact=complete", "left-us", "annabel"),
        ("?q=NABE", "annabel", "left-us"),
        ("?q=left-us", "left-us", "annabel"),
        ("?q=old-export", "left-us", "annabel"),
        (f"?q={lost.pk}", "left-us", "annabel"),
    ):
        text = page(operator, LIST + query)
        rows = text[text.index("<tbody") :]
        assert found in rows, query
        assert not_found not in rows, query
    assert 'title="' in rows
    assert lost.get_state_display() in page(operator, f"{LIST}{lost.pk}/change/")


@pytest.mark.django_db(transaction=True)
async def test_it_is_exported_as_the_list_shows_it(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.admin.exporting.PAGE", 2)
    user = await User.objects.acreate(username="op", is_superuser=True, is_staff=True)
    await async_client.aforce_login(user)
    at = timezone.now()
    await Download.objects.abulk_create(
        # Some began at the same moment, where a page ends.
        Download(slug="orders", username="=cmd|calc" if n else "ann", sent=n, state="complete",
                 started_at=at - timedelta(seconds=n // 4), finished_at=at)
        for n in range(7)
    )  # fmt: skip

    async def got(path: str) -> str:
        answer: Any = await async_client.get(LIST + path)
        assert answer.streaming
        return b"".join([part async for part in answer.streaming_content]).decode()

    rows = list(csv.DictReader(io.StringIO(await got("csv/"))))
    assert sorted(row["sent"] for row in rows) == list("0123456")
    assert {row["username"] for row in rows} == {"ann", "'=cmd|calc"}
    assert [row["started_at"] for row in rows] == sorted(row["started_at"] for row in rows)
    lines = [json.loads(line) for line in (await got("json/?q=ann")).splitlines()]
    assert [(line["sent"], line["size"]) for line in lines] == [(0, None)]
    assert datetime.fromisoformat(lines[0]["finished_at"]) == at
    assert (await async_client.get(LIST + "csv/?nonsense=1")).status_code == 400
