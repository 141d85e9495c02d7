"""The list of endpoints: how each one is, what it sent, and the states it can be narrowed to."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from streams.access.roles import Role
from streams.models import (
    Checkup,
    DoctorRun,
    Download,
    Endpoint,
    Gateway,
    Health,
    Secret,
    SecretVersion,
    User,
    Why,
)

pytestmark = pytest.mark.django_db

LIST = "/operate/streams/endpoint/"


def endpoint(slug: str, health: Health | None = None, **fields: object) -> Endpoint:
    given = {"title": slug.title(), "kind": "http", "url": f"https://{slug}.example.com/x"}
    made = Endpoint.objects.create(slug=slug, **given | fields)
    if health:
        Checkup.objects.create(endpoint=made, health=health, looked_at=timezone.now())
    return made


def download(of: Endpoint, state: str, sent: int, *, hours: int = 1) -> None:
    began = timezone.now() - timedelta(hours=hours)
    Download.objects.create(
        endpoint=of, slug=of.slug, username="ann", state=state, sent=sent, started_at=began,
        finished_at=began,
    )  # fmt: skip


def text(client: Client, query: str = "") -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().replace("\xa0", " ").split())


def rows(told: str) -> list[str]:
    return [re.sub(r"<[^>]+>", " ", row) for row in re.findall(r"<tbody.*?</tbody>", told)]


def test_a_row_says_how_it_is_what_it_sent_and_when_its_secret_rotates(operator: Client) -> None:
    well = endpoint("orders", Health.HEALTHY)
    for state, sent, hours in (
        ("complete", 3_000_000, 1), ("cut", 1_000_000, 2), ("complete", 0, 3), ("cut", 7, 30),
    ):  # fmt: skip
        download(well, state, sent, hours=hours)
    secret = Secret.objects.create(name="late", rotate_every=timedelta(days=1))
    secret.set_value("v" * 32)
    SecretVersion.objects.update(created_at=timezone.now() - timedelta(days=9))
    gateway = "https://api.example.com/prod"
    Gateway.objects.create(
        secret=secret, type="http", api_id="a", integration_id="i", stage="s", url=gateway
    )
    endpoint("behind", Health.FAILING, kind="gateway", url=gateway)
    endpoint("never")
    row = Checkup.objects.get(endpoint=well)
    for health in (Health.FAILING, Health.HEALTHY):
        DoctorRun.objects.create(
            checkup=row, why=Why.SCHEDULE, seconds=1, health=health, errors=0, warnings=0,
            passed=1, skipped=0, report={},
        )  # fmt: skip

    told = text(operator)

    failing, unknown, healthy = rows(told)
    assert "Behind api.example.com" in " ".join(failing.split())
    assert "overdue" in failing
    assert "nothing was downloaded" in failing
    assert "Never" in unknown
    assert "never" in unknown
    assert "overdue" not in unknown
    words = " ".join(healthy.split())
    assert "4.0 MB 33.3 %" in words
    assert words.index("failing, ") < words.index("healthy, "), "the newest check is last"
    # Each figure leads to a list of exactly that.
    for link, count in re.findall(
        r'href="(/operate/streams/download/\?[^"]+)">(4.0 MB|33.3 %)<', told
    ):
        found = operator.get(link.replace("&amp;", "&")).context["cl"].result_count
        assert found == (3 if count == "4.0 MB" else 1)


def test_chips_narrow_it_and_count_what_they_lead_to(operator: Client) -> None:
    endpoint("a", Health.FAILING)
    endpoint("b", Health.FAILING, enabled=False)
    endpoint("c", Health.HEALTHY)
    endpoint("d")

    told = text(operator)
    chips = re.findall(
        r'<a href="\?([^"]*)"([^>]*)>(.*?) (\d+)</a>', told.split("</nav>")[0] + told
    )
    counts = {query.replace("&amp;", "&"): int(count) for query, _, _, count in chips}

    assert counts == {
        "": 4, "health=failing&enabled__exact=1": 1, "health=degraded&enabled__exact=1": 0,
        "health=unknown&enabled__exact=1": 1, "health=healthy&enabled__exact=1": 1,
        "enabled__exact=0": 1,
    }  # fmt: skip
    for query, count in counts.items():
        assert len(rows(text(operator, f"?{query}"))) == count, query
        chip = re.search(r'<a href="\?([^"]*)" aria-current', text(operator, f"?{query}"))
        assert chip
        assert chip[1].replace("&amp;", "&") == query


def test_it_says_why_it_is_empty(operator: Client) -> None:
    told = text(operator)
    assert "No endpoints yet." in told
    assert '<a href="/operate/streams/endpoint/add/">Add one</a>' in told
    endpoint("a", Health.HEALTHY)

    for query in ("?q=nothing", "?health=failing", "?kind__exact=s3"):
        told = text(operator, query)
        assert 'Nothing matches. <a href="?">Clear filters</a>' in told, query
        assert "No endpoints yet." not in told


def test_it_counts_only_what_somebody_may_see(client: Client) -> None:
    closed = endpoint("closed", Health.FAILING, operators=Group.objects.create(name="team"))
    download(closed, "cut", 5)
    endpoint("open", Health.HEALTHY)
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name=Role.VIEWER))
    client.force_login(viewer)

    told = text(client)

    assert len(rows(told)) == 1
    assert "Closed" not in told
    assert re.search(
        r'enabled__exact=1">\s*<span class="health health-failing">.*?</span> 0</a>',
        told.replace("&amp;", "&"),
    )
