"""A rotation that nobody can finish or take back is ended by an operator, and no other one is."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from streams.models import (
    AuditEntry,
    Channel,
    Endpoint,
    Notice,
    Rotation,
    RotationState,
    Secret,
    SecretVersion,
)
from streams.models.secrets import fingerprint
from streams.rotation import engine, starting, timeline
from streams.rotation.lease import claim
from streams.rotation.problems import LostLeaseError
from streams.rotation.timeline import StepState
from tests.rotation.refusing import DENIED, MISSING, OLD, RefusingAws
from tests.rotation.test_telling import told, turn

NEW = "new-" + "n" * 32
# Among them a status of 404 that Lambda itself has not given.
UNSURE = [DENIED, (404, "NotFound"), (429, "TooManyRequestsException"), (500, "ServiceException")]


@pytest.fixture
def retiring(rotation: Rotation) -> Rotation:
    """One that has moved everybody over to the new value, and is about to retire the old one."""
    with transaction.atomic():
        new = rotation.secret.versions.create(
            number=2, value=NEW, fingerprint=fingerprint(NEW), state="pending"
        )
        rotation.secret.versions.filter(number=1).update(state="previous")
        SecretVersion.objects.filter(pk=new.pk).update(state="current")
    Rotation.objects.update(step="retire", new=new)
    rotation.refresh_from_db()
    return rotation


@pytest.fixture
def gone(aws: RefusingAws) -> RefusingAws:
    aws.answer = MISSING
    return aws


def states(secret: Secret) -> list[str]:
    return list(secret.versions.order_by("number").values_list("state", flat=True))


def test_without_the_word_it_is_stuck_for_ever_and_nothing_else_ends_it(
    gone: RefusingAws, retiring: Rotation
) -> None:
    for word in (starting.resume, starting.roll_back, starting.resume):
        assert turn(retiring).state == RotationState.STUCK
        word(retiring)

    assert turn(retiring).state == RotationState.STUCK
    assert retiring.secret.is_rotating()


@pytest.mark.parametrize(
    ("step", "back"), [("admit", True), ("switch portal", False), ("retire", False)]
)
def test_it_ends_as_it_stands_where_its_function_is_gone(
    gone: RefusingAws, channel: Channel, retiring: Rotation, step: str, back: bool
) -> None:
    Rotation.objects.update(step=step, back=back)
    starting.give_up(retiring, by="ada")

    assert engine.advance(retiring.pk) is None

    retiring.refresh_from_db()
    assert (retiring.state, retiring.step) == (RotationState.FAILED, step)
    assert retiring.problem == (
        "An operator gave it up. AWS has no function orders-export any more."
    )
    assert retiring.told_state == "given up"
    assert (retiring.lease_until, retiring.rests) == (None, True)
    # What the portal sends stays.
    assert states(retiring.secret) == ["retired", "current"]
    assert not retiring.secret.is_rotating()
    assert told() == ["rotation-failed"]
    notice = Notice.objects.get()
    assert notice.summary == "The rotation of orders was given up, where it stood."
    log = AuditEntry.objects.order_by("pk").values_list("action", "actor")
    assert list(log)[-2:] == [("rotation.give-up-asked", "ada"), ("rotation.given-up", "")]
    assert not [event for event in retiring.events.all() if event.text == "Done."]
    assert OLD not in retiring.problem


def test_its_story_says_where_it_stopped(gone: RefusingAws, retiring: Rotation) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header",
        secret=retiring.secret, url="http://127.0.0.1:1/",
    )  # fmt: skip
    starting.give_up(retiring)
    turn(retiring)

    steps = {step.name: step.state for step in timeline.timeline(retiring)}
    assert (steps["verify"], steps["retire"]) == (StepState.DONE, StepState.STOPPED)
    assert steps["finish"] == StepState.AHEAD


def test_another_one_can_begin_after_it(gone: RefusingAws, retiring: Rotation) -> None:
    starting.give_up(retiring)
    turn(retiring)

    with transaction.atomic():
        retiring.secret.set_value("anew-" + "a" * 32)
    starting.start(retiring.secret, by="ada")
    assert states(retiring.secret) == ["retired", "previous", "current"]


@pytest.mark.parametrize("answer", UNSURE)
def test_it_goes_on_where_aws_does_not_say_that_the_function_is_gone(
    aws: RefusingAws, channel: Channel, retiring: Rotation, answer: tuple[int, str]
) -> None:
    aws.answer = answer
    starting.give_up(retiring, by="ada")

    turn(retiring)

    assert retiring.finished_at is None
    assert states(retiring.secret) == ["previous", "current"]
    assert retiring.events.all()[0].text.startswith("It cannot be given up:")
    # Once: the word is heard.
    assert not retiring.give_up
    assert "rotation-failed" not in told()


def test_one_that_has_changed_nothing_is_no_more_than_rolled_back(
    gone: RefusingAws, rotation: Rotation
) -> None:
    starting.give_up(rotation)

    assert turn(rotation).state == RotationState.FAILED
    assert (rotation.was_given_up, rotation.problem) == (False, "An operator rolled it back.")


@pytest.fixture
def origin() -> Iterator[RefusingAws]:
    """Whatever answers at the function's URL."""
    made = RefusingAws()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(("status", "ends"), [(200, False), (403, True), (502, True)])
def test_it_goes_on_where_the_function_answers_although_aws_does_not_know_it(
    gone: RefusingAws, origin: RefusingAws, retiring: Rotation, status: int, ends: bool
) -> None:
    """With the credentials of another account."""
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header",
        secret=retiring.secret, url=f"http://127.0.0.1:{origin.server.server_port}/",
    )  # fmt: skip
    origin.answer = (status, "")
    starting.give_up(retiring)

    assert bool(turn(retiring).finished_at) == ends
    told = "".join(event.text for event in retiring.events.all())
    assert ("the credentials of another account" in told) != ends


def test_one_whose_value_is_lost_can_be_given_up(
    aws: RefusingAws, retiring: Rotation, settings: Settings
) -> None:
    settings.ENCRYPTION_KEYS = [base64.urlsafe_b64encode(b"x" * 32).decode()]
    starting.give_up(retiring)

    engine.advance(retiring.pk)

    retiring = Rotation.objects.with_versions().get()
    assert retiring.was_given_up
    assert "SPILLWAY_ENCRYPTION_KEYS" in retiring.problem
    assert states(retiring.secret) == ["retired", "current"]
    assert aws.calls == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_has_lost_it_gives_nothing_up(gone: RefusingAws, retiring: Rotation) -> None:
    starting.give_up(retiring)
    first = claim(retiring.pk, 60)
    assert first is not None
    Rotation.objects.update(lease_until=Now() - timedelta(seconds=1))

    def taken_over() -> None:
        gone.before = lambda: None
        Rotation.objects.update(token=7)
        connection.close()

    gone.before = taken_over
    with pytest.raises(LostLeaseError):
        engine._Worker(first).work()

    retiring.refresh_from_db()
    assert retiring.finished_at is None
    assert states(retiring.secret) == ["previous", "current"]


def test_the_command_gives_it_up_and_says_whether_it_was(
    gone: RefusingAws, retiring: Rotation
) -> None:
    gone.answer = DENIED
    with pytest.raises(CommandError, match="AWS does not allow it"):
        call_command("rotate", "orders", "--give-up", "--wait", stderr=StringIO())

    gone.answer = MISSING
    out = StringIO()
    call_command("rotate", "orders", "--give-up", "--wait", stdout=out, stderr=StringIO())
    assert out.getvalue().endswith("of orders: failed\n")


def test_the_page_offers_it_once_something_was_changed(
    gone: RefusingAws, retiring: Rotation, admin_client: Client
) -> None:
    page = reverse("admin:streams_rotation_change", args=[retiring.pk])
    assert 'value="give-up"' in admin_client.get(page).content.decode()
    dialog = reverse("admin:streams_secret_rotation", args=[retiring.secret_id])

    admin_client.post(dialog, {"what": "give-up"})
    turn(retiring)

    answer = admin_client.get(page).content.decode()
    assert "given up" in answer
    assert 'value="give-up"' not in answer
    changelist = admin_client.get(reverse("admin:streams_rotation_changelist"))
    assert "given up" in changelist.content.decode()
    Rotation.objects.update(step="preflight", state="running", finished_at=None, give_up=False)
    assert 'value="give-up"' not in admin_client.get(page).content.decode()
