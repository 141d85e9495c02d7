"""What the audit log says of rotations: each word of an operator once, and each end once."""

from collections.abc import Iterator

import pytest
from django.db import transaction

from streams.models import AuditEntry, Endpoint, Rotation, RotationState
from streams.rotation import starting
from streams.rotation.problems import RotationError
from tests.rotation.refusing import RefusingAws
from tests.rotation.test_telling import turn


def recorded() -> Iterator[tuple[str, str, str]]:
    for entry in AuditEntry.objects.order_by("number"):
        yield entry.action, entry.actor, entry.what


def test_each_word_and_the_end_are_recorded_once(aws: RefusingAws, rotation: Rotation) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url="https://example.com/",
        auth="secret-header", secret=rotation.secret,
    )  # fmt: skip
    turn(rotation)
    starting.resume(rotation, by="ben")
    turn(rotation)
    starting.roll_back(rotation, by="cem")
    for _ in range(3):
        turn(rotation)
    assert rotation.state == RotationState.FAILED
    # There is nothing more to be said of it.
    starting.resume(rotation, by="dan")
    starting.roll_back(rotation, by="dan")

    assert list(recorded()) == [
        ("rotation.started", "ada", "orders"),
        ("rotation.resumed", "ben", "orders"),
        ("rotation.rollback-asked", "cem", "orders"),
        ("rotation.failed", "", "orders"),
    ]
    assert AuditEntry.objects.get(number=4).details == {
        "rotation": str(rotation.pk), "mode": "overlap", "requested by": "ada",
    }  # fmt: skip


def test_an_emergency_is_recorded_as_one(rotation: Rotation) -> None:
    with transaction.atomic():
        Rotation.objects.filter(pk=rotation.pk).delete()
    starting.start(rotation.secret, by="ada", emergency=True)

    assert AuditEntry.objects.get(number=2).details["mode"] == "emergency"


def test_what_was_refused_is_not_recorded(rotation: Rotation) -> None:
    with pytest.raises(RotationError):
        starting.start(rotation.secret, by="ben")

    assert len(list(recorded())) == 1
