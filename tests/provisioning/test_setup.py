"""*Make what is missing for me*: the plan, a worker that does it, its page; in AWS's stand-in."""

import html
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from streams.access.roles import Role, make_groups
from streams.admin import setups
from streams.models import (
    AuditEntry,
    Endpoint,
    ProvisioningTurn,
    Secret,
    SecretVersion,
    Setup,
    User,
)
from streams.provisioning import setup
from streams.provisioning.problems import BusyError, UnfitError
from streams.provisioning.request import GatewayRequest, Request
from tests.admin.walking import Walk
from tests.functional.conftest import until
from tests.provisioning.conftest import OTHERS, Site
from tests.provisioning.test_provision import passes, status


@pytest.fixture
def client(transactional_db: None) -> Client:
    """An administrator's."""
    # A test that has ended has emptied all tables.
    make_groups()
    user = User.objects.create_user("admin", is_staff=True)
    user.groups.add(Group.objects.get(name=Role.ADMINISTRATOR))
    made = Client()
    made.force_login(user)
    return made


def planned(client: Client, site: Site, **fields: str) -> Walk:
    """Up to the plan."""
    walk = Walk(client)
    walk.go(kind="provision")
    arn = f"arn:aws:lambda:{site.aws.region}:123456789012:function:{site.name}"
    walk.go(address=site.name if fields.pop("by_name", "") else arn)
    assert walk.step == "place"
    assert walk.value("region") == site.aws.region
    place = {name: fields.pop(name, "") for name in ("gateway", "api_id", "path", "gateway_url")}
    walk.go(function=site.name, region=site.aws.region, alias="", stage="", **place)
    assert walk.step == "about", walk.told
    walk.go(title="All orders", slug="orders", **fields)
    assert walk.step == "check", walk.told
    return walk


def started(client: Client, site: Site, **fields: str) -> Setup:
    planned(client, site, **fields).go("start")
    return Setup.objects.get()


def page(client: Client, row: Setup) -> str:
    answer = client.get(f"/operate/streams/setup/{row.pk}/change/")
    assert answer.status_code == 200
    return " ".join(html.unescape(answer.content.decode()).split())


def press(client: Client, row: Setup, what: str) -> Any:
    return client.post(f"/operate/streams/setup/{row.pk}/change/", {"what": what})


@pytest.mark.slow
def test_it_is_planned_and_made_by_a_worker_and_its_page_tells(client: Client, site: Site) -> None:
    site.deploy()
    api_id = site.rest_api()
    gateway_url = f"{site.aws.url}/_rest/{api_id}/prod/orders"
    before = site.snapshot(api_id)

    walk = planned(
        client, site, everyone="on", gateway="rest", api_id=api_id, path="/orders",
        gateway_url=gateway_url,
    )  # fmt: skip

    assert "url: A function URL is made: auth type NONE" in walk.told
    assert "must refuse" in walk.told
    assert f'"arn:aws:apigateway:{site.aws.region}::/restapis/{api_id}/*"' in walk.told
    assert site.proxy.changing == []
    assert site.snapshot(api_id) == before
    # Something else than what was shown is shown first.
    assert walk.go("start", title="Other") == "check"
    assert "This is not what was shown." in walk.told
    assert not Setup.objects.exists()

    address = walk.go("start")

    row = Setup.objects.get()
    assert address == f"/operate/streams/setup/{row.pk}/change/"
    told = page(client, row)
    assert "Waiting for a worker" in told
    assert "url: A function URL is made" in told
    assert 'data-again="2000"' in told

    setup.advance(row.pk)

    row.refresh_from_db()
    assert row.state == "completed", row.problem
    endpoint, value = Endpoint.objects.get(), SecretVersion.objects.get().value
    assert (endpoint.slug, endpoint.title, endpoint.everyone) == ("orders", "Other", True)
    assert passes(endpoint.url, value)
    assert status(endpoint.url) == 403
    assert passes(gateway_url)
    told = page(client, row)
    assert f"/operate/streams/endpoint/{endpoint.pk}/" in told
    assert "data-again" not in told
    assert value not in told + str(list(Setup.objects.values()))
    actors = AuditEntry.objects.filter(action__startswith="provisioning.").order_by("number")
    assert list(actors.values_list("action", "actor")) == [
        ("provisioning.asked", "admin"), ("provisioning.started", "admin"),
        ("provisioning.completed", "admin"),
    ]  # fmt: skip
    # It is done once.
    site.proxy.restart()
    setup.advance(row.pk)
    assert press(client, row, "stop").status_code == 302
    assert press(client, row, "again").status_code == 302
    assert site.proxy.changing == []
    assert Setup.objects.count() == 1


def test_what_cannot_be_made_is_told_before_anything_is(client: Client, site: Site) -> None:
    walk = planned(client, site, by_name="yes")

    assert "AWS does not know it" in walk.told
    assert '"lambda:CreateFunctionUrlConfig"' in walk.told
    assert 'value="start"' not in walk.page
    assert not AuditEntry.objects.filter(action__startswith="provisioning.").exists()


def test_a_function_that_has_no_url_can_be_given_one(client: Client, site: Site) -> None:
    site.deploy()
    walk = Walk(client)
    walk.go(kind="function-url")
    walk.go(address=site.name)
    assert "Make what is missing for me" in walk.told

    # What was entered goes along.
    walk.go("provision", function=f"{site.name}:live", region=site.aws.region, url="")

    assert walk.step == "place"
    assert "A path of API Gateway that leads there as well" in walk.told
    assert (walk.value("function"), walk.value("alias")) == (site.name, "live")


@pytest.mark.slow
def test_a_step_that_fails_is_told_and_what_was_done_is_taken_back(
    client: Client, site: Site
) -> None:
    site.deploy("app.export")
    before = site.snapshot()
    row = started(client, site)

    setup.advance(row.pk)

    row.refresh_from_db()
    assert row.state == "failed"
    told = page(client, row)
    assert "without the header was let in. Wrap its handler" in told
    assert "Taken back" in told
    assert "the secret orders is as it was in the registry." in told
    assert site.snapshot() == before
    assert not Secret.objects.exists()
    # Mended, it is asked for once more, by a run of its own.
    site.aws.client("lambda").update_function_configuration(
        FunctionName=site.name, Handler="app.handler"
    )
    assert press(client, row, "again").status_code == 302
    again = Setup.objects.latest("pk")
    assert again.pk != row.pk

    setup.advance(again.pk)

    again.refresh_from_db()
    assert again.state == "completed", again.problem


@pytest.mark.slow
def test_one_that_is_stopped_takes_back_what_it_did(client: Client, site: Site) -> None:
    site.deploy()
    before = site.snapshot()
    row = started(client, site)
    site.proxy.restart()

    def work() -> None:
        setup.advance(row.pk)
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    assert until(lambda: site.proxy.changing, 20), "nothing was begun"
    assert press(client, row, "stop").status_code == 302
    worker.join(60)

    row.refresh_from_db()
    assert row.state == "failed"
    assert "stopped by an operator" in row.problem
    told = page(client, row)
    assert f"the environment of {site.name} is as it was." in told
    assert 'value="again"' in told
    assert site.snapshot() == before
    assert site.variables() == OTHERS
    assert not Endpoint.objects.exists()
    assert not Secret.objects.exists()


def test_one_that_is_stopped_before_a_worker_has_it_does_nothing(
    client: Client, site: Site
) -> None:
    site.deploy()
    row = started(client, site)
    site.proxy.restart()

    press(client, row, "stop")
    setup.advance(row.pk)

    row.refresh_from_db()
    assert (row.state, row.problem) == ("failed", "It was stopped before it had begun.")
    assert site.proxy.calls == []


@pytest.mark.slow
def test_where_a_worker_was_killed_another_goes_on(client: Client, site: Site) -> None:
    site.deploy()
    row = started(client, site)
    # As a worker leaves it that was killed after its first step: by its lease alone.
    later = timezone.now() + timedelta(hours=1)
    Setup.objects.update(token=1, lease_until=later, told=["secret: A line of its own."])
    setup.advance(row.pk)
    row.refresh_from_db()
    assert row.token == 1, "it was taken from a worker that lives"

    Setup.objects.update(lease_until=Now())
    assert list(Setup.objects.due()) == [row]
    setup.advance(row.pk)

    row.refresh_from_db()
    assert row.state == "completed", row.problem
    assert row.orphaned
    assert row.told[0] == "secret: A line of its own."


def test_one_that_is_stopped_after_a_kill_says_what_stays(client: Client, site: Site) -> None:
    site.deploy()
    row = started(client, site)
    Setup.objects.update(token=1, lease_until=Now())
    press(client, row, "stop")

    setup.advance(row.pk)

    row.refresh_from_db()
    assert row.state == "failed"
    assert row.left == [
        "What an earlier worker made, before it was ended, stays. Another run takes it up."
    ]
    assert not Endpoint.objects.exists()


@pytest.mark.slow
def test_it_waits_while_a_command_provisions(client: Client, site: Site) -> None:
    site.deploy()
    row = started(client, site)
    ProvisioningTurn.objects.get_or_create(pk=1)

    def renew() -> None:
        """As a run that is alive does."""
        for seconds in range(60, 90):
            until_then = timezone.now() + timedelta(seconds=seconds)
            ProvisioningTurn.objects.update(function="others", lease_until=until_then)
            if ended.wait(0.2):
                break
        connection.close()

    ended = threading.Event()
    renew_once = timezone.now() + timedelta(seconds=59)
    ProvisioningTurn.objects.update(function="others", lease_until=renew_once)
    alive = threading.Thread(target=renew)
    alive.start()
    setup.advance(row.pk)
    ended.set()
    alive.join()

    row.refresh_from_db()
    assert (row.state, row.lease_until) == ("running", None)
    assert any("Another run provisions others" in line for line in row.told)
    assert not list(Setup.objects.due()), "it is not tried at once"
    ProvisioningTurn.objects.update(lease_until=None)
    Setup.objects.update(due_at=Now())
    setup.advance(row.pk)
    row.refresh_from_db()
    assert row.state == "completed", row.problem
    assert row.left == []


@pytest.mark.django_db
def test_of_one_slug_there_is_one_at_a_time() -> None:
    user = User.objects.create_user("admin", is_staff=True)
    wanted = Request("f", "eu-central-1", "orders", "Orders", "orders")
    setup.start(wanted, [], by=user)

    with pytest.raises(BusyError, match="orders is being provisioned already"):
        setup.start(wanted, [], by=user)
    with_gateway = Request(
        "f", "eu-central-1", "other", "Orders", "orders", groups=None,
        gateway=GatewayRequest("rest", "a1", "/orders", "prod"),
    )  # fmt: skip
    row = setup.start(with_gateway, ["a line"], by=user)
    row.refresh_from_db()
    assert Request.stored(row.request) == with_gateway
    assert row.plan == ["a line"]


@pytest.mark.django_db
def test_what_is_there_or_belongs_to_others_is_never_made_over() -> None:
    user = User.objects.create_user("admin", is_staff=True)
    wanted = Request("f", "eu-central-1", "orders", "Orders", "guard")
    row = setup.start(wanted, [], by=user)
    held = Secret.objects.create(name="guard")
    endpoint = Endpoint.objects.create(
        slug="orders", title="Theirs", kind="function-url", url="https://example.com/",
        auth="secret-header", secret=held, operators=Group.objects.create(name="team"),
    )  # fmt: skip

    # Somebody has added it meanwhile.
    setup.advance(row.pk)

    row.refresh_from_db()
    assert (row.state, row.problem) == ("failed", "There is an endpoint orders already.")
    with pytest.raises(UnfitError, match="There is an endpoint orders already"):
        setup.start(wanted, [], by=user)
    with pytest.raises(UnfitError, match="guard belongs to others"):
        setup.start(Request("f", "eu-central-1", "new", "New", "guard"), [], by=user)
    endpoint.refresh_from_db()
    assert endpoint.title == "Theirs"


@pytest.mark.django_db
def test_who_waits_in_vain_is_told_what_is_missing(client: Client) -> None:
    row = Setup.objects.create(slug="o", function="f", request={}, requested_by="admin")
    long_ago = timezone.now() - timedelta(seconds=setups.PATIENCE + 1)
    Setup.objects.update(started_at=long_ago)

    assert "No worker has taken it. Start manage.py worker" in page(client, row)
