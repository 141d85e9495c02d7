"""The first page at /operate/: what needs attention, and figures that agree with their lists."""

import re
from datetime import UTC, datetime, timedelta
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
from streams.admin import traffic
from streams.admin.traffic import Range
from streams.models import (
    Channel,
    Checkup,
    Download,
    DriftCheck,
    Endpoint,
    Health,
    Installation,
    Mode,
    Notice,
    Rotation,
    RotationState,
    Secret,
    User,
)

pytestmark = pytest.mark.django_db

INDEX = "/operate/"


def text(client: Client, path: str = INDEX) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(unescape(answer.content.decode()).split())


def endpoint(slug: str, health: Health | None = None, **fields: Any) -> Endpoint:
    made = Endpoint.objects.create(
        slug=slug, title=f"Export {slug}", kind="http", url="https://example.com/", **fields
    )
    if health:
        since = timezone.now() - timedelta(hours=3) if health == Health.FAILING else None
        Checkup.objects.create(
            endpoint=made, health=health, reason=f"Reason of {slug}.", looked_at=Now(),
            failing_since=since,
        )  # fmt: skip
    return made


def download(
    of: Endpoint | None, state: str = "complete", *, hours: float = 0, **also: Any
) -> None:
    at = timezone.now() - timedelta(hours=hours)
    ended = None if state == "running" else at
    fields = {"sent": 1_000_000, "seen_at": at, "finished_at": ended} | also
    slug = of.slug if of else "gone"
    Download.objects.create(endpoint=of, slug=slug, state=state, started_at=at, **fields)


def secret(name: str, **fields: Any) -> Secret:
    made = Secret.objects.create(name=name, **fields)
    with transaction.atomic():
        made.set_value("v" * 32)
    return made


def rotation(of: Secret, state: RotationState, **fields: Any) -> Rotation:
    ended = None if state in {RotationState.RUNNING, RotationState.STUCK} else timezone.now()
    return Rotation.objects.create(
        secret=of, old=of.versions.get(), mode=Mode.OVERLAP, state=state, finished_at=ended,
        **fields,
    )  # fmt: skip


def test_without_an_endpoint_it_says_what_to_do(operator: Client) -> None:
    told = text(operator)

    assert "No endpoints yet." in told
    assert f'<a href="{reverse("admin:streams_endpoint_add")}">Add one</a>' in told
    assert "make demo" in told
    assert "Nothing, as far as is known." in told
    assert "Nothing was downloaded: 24 hours." in told
    assert "<title> Overview | Spillway</title>" in told


def test_what_fails_comes_first_and_leads_to_where_it_is_mended(operator: Client) -> None:
    degraded, failing = endpoint("a", Health.DEGRADED), endpoint("b", Health.FAILING)
    endpoint("c", Health.HEALTHY)
    endpoint("d", Health.FAILING, enabled=False)
    stuck, failed, drifted = secret("stuck"), secret("failed"), secret("drifted")
    late = secret("late", rotate_every=timedelta(days=1))
    late.versions.update(created_at=timezone.now() - timedelta(days=9))
    rotation(failed, RotationState.COMPLETED)
    stopped = rotation(stuck, RotationState.STUCK, problem="AWS refuses.")
    ended = rotation(failed, RotationState.FAILED, problem="The function is gone.")
    slow = rotation(
        secret("slow"), RotationState.RUNNING, step_at=timezone.now() - timedelta(minutes=11)
    )
    over = secret("over")
    rotation(over, RotationState.FAILED, problem="That was before.")
    rotation(over, RotationState.COMPLETED)
    DriftCheck.objects.create(secret=drifted, found="The mapping differs.", found_at=Now())
    channel = Channel.objects.create(name="hook", kind="webhook", address="https://example.com/")
    notice = Notice.objects.test(channel, by="op")
    Notice.objects.filter(pk=notice.pk).update(given_up_at=Now())
    Installation.objects.here()
    Installation.objects.update(ticked_at=timezone.now() - timedelta(hours=1))

    told = text(operator)

    problems = re.findall(r"<li> (<span class=\"health.*?)</li>", told)
    assert len(problems) == 9
    assert "<title> (4) Overview | Spillway</title>" in told
    fixes = {
        reverse("admin:doctor"): "No worker hears the scheduler",
        reverse("admin:streams_endpoint_doctor", args=[failing.pk]): "Reason of b.",
        reverse("admin:streams_rotation_change", args=[stopped.pk]): "AWS refuses.",
        reverse("admin:streams_rotation_change", args=[ended.pk]): "The function is gone.",
        reverse("admin:streams_rotation_change", args=[slow.pk]): "rotation is slow",
        reverse("admin:streams_endpoint_doctor", args=[degraded.pk]): "Reason of a.",
        reverse("admin:streams_secret_rotation", args=[late.pk]): "overdue",
        reverse("admin:streams_secret_rotation", args=[drifted.pk]): "The mapping differs.",
        reverse("admin:streams_notice_changelist") + "?state=given-up": "1 notice<",
    }
    for fix, sentence in fixes.items():
        (problem,) = [one for one in problems if f'href="{fix}"' in one]
        assert sentence in problem
        assert operator.get(fix).status_code == 200
    assert all("health-failing" in one for one in problems[:4])
    assert all("health-degraded" in one for one in problems[4:])
    assert "3 hours ago" in next(one for one in problems if "Reason of b." in one)
    assert "That was before." not in told


def figure(told: str, name: str) -> tuple[str, str]:
    """What a figure says, and the list that it leads to."""
    shown = re.search(f"<dt>{name}</dt> <dd>(.*?)</dd>", told)
    assert shown, name
    link = re.search(r'<a href="(.*?)">', shown[1])
    assert link, name
    return re.sub(r"<.*?>", "", shown[1]).strip(), link[1]


def count(client: Client, listed: str) -> int:
    answer = client.get(listed)
    assert answer.status_code == 200, listed
    return int(answer.context["cl"].result_count)


@pytest.mark.parametrize(
    ("chosen", "downloads", "cut"), [("24h", 5, 2), ("7d", 7, 3), ("30d", 9, 3)]
)
def test_every_figure_is_the_count_of_its_list(
    operator: Client, chosen: str, downloads: int, cut: int
) -> None:
    well = endpoint("a", Health.HEALTHY)
    endpoint("b", Health.HEALTHY, enabled=False)
    old = endpoint("c", Health.HEALTHY)
    Checkup.objects.filter(endpoint=old).update(looked_at=timezone.now() - timedelta(days=9))
    for state, hours in (
        ("complete", 0), ("cut", 0), ("cut", 22), ("running", 1), ("complete", 40), ("cut", 100),
        ("complete", 300), ("failed", 400), ("complete", 900),
    ):  # fmt: skip
        download(well, state, hours=hours)
    download(None, "running", seen_at=timezone.now())

    told = text(operator, f"{INDEX}?range={chosen}")

    healthy, listed = figure(told, "Healthy endpoints")
    assert (healthy, count(operator, listed)) == ("1 of 2", 1)
    running, listed = figure(told, "Streaming now")
    assert (running, count(operator, listed)) == ("1", 1)
    sent, listed = figure(told, "Sent")
    assert sent == f"{downloads}.0 MB in {downloads} downloads"
    assert count(operator, listed) == downloads
    cuts, listed = figure(told, "Cut")
    assert cuts == f"{cut} ({100 * cut / downloads:.1f} %)"
    assert count(operator, listed) == cut
    rows = re.findall(
        r'<th scope="row">[^<]*</th> <td>(\d+)</td> <td>[^<]*</td> <td>(\d+)</td>', told
    )
    assert (sum(int(n) for n, _ in rows), sum(int(n) for _, n in rows)) == (downloads, cut)
    assert told.count('role="img"') == 2
    assert f'href="?range={chosen}" aria-current="true"' in told


def test_the_next_rotation_is_the_soonest(operator: Client) -> None:
    secret("never")
    secret("later", rotate_every=timedelta(days=30))
    soon = secret("soon", rotate_every=timedelta(days=2))

    shown, link = figure(text(operator), "Next rotation")

    assert shown.startswith("soon in 1 day")
    assert link == reverse("admin:streams_secret_change", args=[soon.pk])


def test_what_somebody_may_not_see_is_not_counted(client: Client) -> None:
    closed = endpoint("closed", Health.FAILING, operators=Group.objects.create(name="team"))
    endpoint("open", Health.HEALTHY)
    download(closed, "cut")
    DriftCheck.objects.create(secret=secret("mine"), found="It differs.", found_at=Now())
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=Role.VIEWER))
    client.force_login(viewer)
    stranger = Client()
    stranger.force_login(User.objects.create_user("new", is_staff=True))

    told, nothing = text(client), text(stranger)

    assert "Reason of closed." not in told
    assert figure(told, "Healthy endpoints")[0] == "1 of 1"
    assert figure(told, "Cut")[0] == "0 (0.0 %)"
    # They may not rotate: the link is to what they may see.
    assert "It differs." in told
    assert "/rotate/" not in told
    for part in ("Figures", "Traffic", "No endpoints yet", "It differs."):
        assert part not in nothing


def test_it_costs_the_same_for_many(operator: Client) -> None:
    def fill(name: str) -> None:
        one = endpoint(name, Health.FAILING)
        endpoint(f"{name}-2", Health.DEGRADED)
        download(one, "cut")
        held = secret(name, rotate_every=timedelta(days=1))
        held.versions.update(created_at=timezone.now() - timedelta(days=9))
        rotation(held, RotationState.FAILED)
        DriftCheck.objects.create(secret=held, found="It differs.", found_at=Now())

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            text(operator)
        return len(captured)

    fill("a")
    text(operator)
    few = queries()
    for number in range(30):
        fill(f"b{number}")

    assert queries() == few
    told = text(operator)
    assert "21 more endpoints" in told
    assert "<title> (41) " in told  # 31 endpoints, and as many rotations as are shown


@pytest.mark.parametrize("zone", ["Europe/Zurich", "Asia/Kolkata"])
def test_days_are_those_of_the_calendar(zone: str) -> None:
    # Clocks went back in Zurich on 25 October.
    now = datetime(2026, 10, 26, 12, 40, tzinfo=UTC)
    for at in ("2026-10-24T21:00Z", "2026-10-25T12:00Z", "2026-10-25T22:30Z", "2026-10-26T12:39Z"):
        Download.objects.create(
            slug="a", state="cut", sent=1, started_at=at.replace("Z", "+00:00"), finished_at=now
        )

    with timezone.override(zone):
        days = traffic.traffic(Download.objects.all(), Range.WEEK, now)
        hours = traffic.traffic(Download.objects.all(), Range.DAY, now)

    names = [slot.name for slot in days.slots]
    assert names[-3:] == ["Sat 24 Oct", "Sun 25 Oct", "Mon 26 Oct"]
    expected = [1, 2, 1] if zone == "Europe/Zurich" else [0, 2, 2]
    assert [slot.downloads for slot in days.slots][-3:] == expected
    assert (hours.slots[-1].downloads, hours.downloads) == (1, 2)
    assert len(hours.slots) == 24


def test_what_changes_no_more_is_summed_once(operator: Client) -> None:
    one = endpoint("a")
    download(one, hours=75)
    download(one, state="running", hours=51, sent=3_000_000)
    assert "4.0 MB" in text(operator, f"{INDEX}?range=30d")
    first, second = Download.objects.order_by("started_at")

    second.state, second.sent, second.finished_at = "complete", 5_000_000, timezone.now()
    second.save()
    download(one, sent=2_000_000)
    # Never so but here: what is kept is not looked for again.
    Download.objects.filter(pk=first.pk).delete()

    assert "8.0 MB" in text(operator, f"{INDEX}?range=30d")
    # Others see other downloads.
    operators = Group.objects.create(name="closed")
    Endpoint.objects.update(operators=operators)
    user = User.objects.create_user("else", is_staff=True)
    user.groups.add(Group.objects.get(name=Role.OPERATOR))
    operator.force_login(user)
    assert "Nothing was downloaded: 30 days." in text(operator, f"{INDEX}?range=30d")
