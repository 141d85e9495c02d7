"""One rotation, many workers: only one of them may write."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models.functions import Now

from streams.models import Endpoint, Rotation, RotationState, Secret, SecretVersion
from streams.registry.apply import apply
from streams.registry.parse import RegistryError, parse
from streams.rotation import engine, starting
from streams.rotation.lease import Lease, claim
from streams.rotation.problems import LostLeaseError
from streams.rotation.starting import NotNowError
from streams.rotation.versions import StoredVersions
from tests.rotation.refusing import OLD


def claimed(rotation: Rotation, seconds: float = 60) -> Lease:
    lease = claim(rotation.pk, seconds)
    assert lease is not None
    return lease


def expire(rotation: Rotation) -> None:
    Rotation.objects.filter(pk=rotation.pk).update(lease_until=Now() - timedelta(seconds=1))


def test_a_rotation_is_claimed_once(rotation: Rotation) -> None:
    claimed(rotation)

    assert claim(rotation.pk, 60) is None
    assert not Rotation.objects.due().exists()


def test_one_whose_time_has_not_come_is_not_claimed(rotation: Rotation) -> None:
    Rotation.objects.update(due_at=Now() + timedelta(seconds=30))

    assert claim(rotation.pk, 60) is None


def test_an_expired_lease_can_be_taken_over_and_then_counts_no_more(rotation: Rotation) -> None:
    first = claimed(rotation)
    first.put("gateway 1 new live", 12.5)
    expire(rotation)
    second = claimed(rotation)

    assert second.notes == {"gateway 1 new live": 12.5}
    for write in (first.renew, lambda: first.put("a", 1), lambda: first.drop("gateway")):
        with pytest.raises(LostLeaseError):
            write()
    with pytest.raises(LostLeaseError):
        StoredVersions(first).generate()
    assert not rotation.secret.versions.filter(state="pending").exists()
    second.renew()


def test_a_lease_that_has_expired_unseen_is_renewed(rotation: Rotation) -> None:
    lease = claimed(rotation)
    expire(rotation)

    lease.renew()

    assert claim(rotation.pk, 60) is None


def test_the_end_of_a_rotation_ends_its_lease(rotation: Rotation) -> None:
    lease = claimed(rotation)
    lease.write(state=RotationState.COMPLETED, finished_at=Now())

    with pytest.raises(LostLeaseError):
        lease.renew()


def test_notes_are_dropped_by_their_prefix(rotation: Rotation) -> None:
    lease = claimed(rotation)
    for key in ("gateway 1 new live", "gateway 12 new live", "drain"):
        lease.put(key, 1)

    lease.drop("gateway 1 ")

    rotation.refresh_from_db()
    assert sorted(rotation.notes) == ["drain", "gateway 12 new live"]


def states(secret: Secret) -> dict[str, str]:
    return {
        "old" if version.value == OLD else "new": version.state
        for version in SecretVersion.objects.filter(secret=secret)
    }


def test_values_go_through_their_states_and_back(rotation: Rotation) -> None:
    versions = StoredVersions(claimed(rotation))

    value = versions.generate()
    assert versions.generate() == value
    assert states(rotation.secret) == {"old": "current", "new": "pending"}
    for _ in range(2):
        versions.use_new()
    assert states(rotation.secret) == {"old": "previous", "new": "current"}
    for _ in range(2):
        versions.use_old()
    assert states(rotation.secret) == {"old": "current", "new": "pending"}
    versions.use_new()
    versions.retire(old=True)
    assert states(rotation.secret) == {"old": "retired", "new": "current"}


def test_a_value_set_by_hand_before_is_forgotten_when_the_portal_moves_over(
    secret: Secret,
) -> None:
    with transaction.atomic():
        secret.set_value("newer-" + "n" * 32)
    versions = StoredVersions(claimed(starting.start(secret, by="ada")))

    versions.generate()
    versions.use_new()

    found = secret.versions.order_by("number").values_list("state", flat=True)
    assert list(found) == ["retired", "previous", "current"]


def test_a_secret_has_one_open_rotation(rotation: Rotation) -> None:
    with pytest.raises(NotNowError, match="under way"):
        starting.start(rotation.secret, by="ben")

    Rotation.objects.update(state=RotationState.FAILED, finished_at=Now())
    starting.start(rotation.secret, by="ben")


def test_nothing_of_a_secret_changes_under_its_rotation(rotation: Rotation) -> None:
    described = (
        "version: 1\nsecrets:\n- {name: orders, function: "
        "{name: orders-export, region: eu-central-1%s}}\n"
    )
    apply(parse(described % ""))

    with pytest.raises(RegistryError, match="rotation of orders is under way"):
        apply(parse(described % ", variable: OTHER"))
    with pytest.raises(RegistryError, match="rotation of orders is under way"):
        apply(parse("version: 1\n"), prune=True)
    with pytest.raises(ValidationError, match="under way"), transaction.atomic():
        rotation.secret.set_value("newer-" + "n" * 32)

    Rotation.objects.update(state=RotationState.COMPLETED, finished_at=Now())
    apply(parse(described % ", variable: OTHER"))


def test_how_a_secret_is_rotated_follows_from_its_function(secret: Secret) -> None:
    assert starting.mode_of(secret) == "overlap"
    assert starting.mode_of(secret, emergency=True) == "emergency"
    secret.function.accepts = "one"
    secret.function.save()

    assert starting.mode_of(secret) == "hold"
    secret.gateways.create(
        type="http", api_id="a", integration_id="b", stage="$default", region="eu-central-1"
    )
    with pytest.raises(NotNowError, match="--accept-gap"):
        starting.mode_of(secret)
    assert starting.mode_of(secret, accept_gap=True) == "gap"

    secret.function.aliases = ["blue", "green"]
    secret.function.save()
    assert starting.mode_of(secret) == "pair"
    assert starting.mode_of(secret, emergency=True) == "emergency"


def test_a_secret_without_a_function_or_a_value_is_not_rotated(db: None) -> None:
    bare = Secret.objects.create(name="bare")

    with pytest.raises(NotNowError, match="names no function"):
        starting.start(bare, by="ada")


def test_one_that_is_rolled_back_before_it_began_ends_at_once(
    rotation: Rotation, caplog: pytest.LogCaptureFixture
) -> None:
    # There is something to ask, and nobody who would answer.
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", auth="secret-header",
        secret=rotation.secret, url="http://127.0.0.1:1/",
    )  # fmt: skip
    starting.roll_back(rotation)

    assert engine.advance(rotation.pk) is None

    rotation.refresh_from_db()
    assert (rotation.state, rotation.roll_back) == (RotationState.FAILED, False)
    assert rotation.problem == "An operator rolled it back."
    assert "rotation_lost" not in caplog.text
