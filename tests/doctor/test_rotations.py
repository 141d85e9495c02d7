"""A rotation that does not come forward: what it waits for, and which value is where."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django.fixtures import Settings

from streams.models import Endpoint, Rotation, SecretFunction
from streams.rotation import starting
from tests.doctor.conftest import Clinic, Identified
from tests.doctor.test_faults import _alias

HOUR = timedelta(hours=1)


def _begun(clinic: Clinic) -> Rotation:
    """One that has made a new value and has gone no further."""
    rotation = starting.start(clinic.secret, by="ada")
    new = clinic.secret.versions.create(
        number=2, value="n" * 32, fingerprint="f" * 12, state="pending"
    )
    Rotation.objects.update(new=new, step="admit", step_at=Now() - HOUR, stretch_at=Now() - HOUR)
    return rotation


def _rotate(*words: str) -> None:
    call_command("rotate", "orders", *words, "--wait", stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.slow
@pytest.mark.shows("rotation-stuck")
def test_a_stuck_rotation_is_told_with_its_values_and_how_to_resume_it(
    portal: Identified, settings: Settings
) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.2
    clinic = portal.clinic
    clinic.rest()
    portal.may("gateways", *((f"apigateway:{name}", "*") for name in ("GET", "PATCH", "POST")))
    # For a while it may look, and change nothing.
    portal.may("rotate", ("lambda:Get*", portal.function))
    with pytest.raises(CommandError, match="AWS does not allow it"):
        _rotate()
    portal.may_rotate()

    (finding,) = clinic.run()["findings"]

    assert (finding["id"], clinic.status) == ("rotation-stuck", 1)
    assert "stuck at the step admit: AWS does not allow it" in finding["sentence"]
    assert finding["cli"] == ["manage.py rotate orders --resume"]
    old = clinic.secret.versions.get(number=1).fingerprint
    held = f"the old value, version 1 (fingerprint {old})"
    assert f"the portal sends: {held}" in finding["evidence"]
    assert f"{clinic.name} $LATEST, SECRET_HEADER: {held}" in finding["evidence"]
    assert any(line.endswith(f", deployed: {held}") for line in finding["evidence"])

    _rotate("--resume")
    assert clinic.run()["findings"] == []


@pytest.mark.shows("rotation-slow")
def test_one_that_waits_for_an_hour_is_told_and_one_that_may_wait_so_long_is_not(
    clinic: Clinic, settings: Settings
) -> None:
    _begun(clinic)
    Rotation.objects.update(waiting="The function is being updated.")

    (finding,) = clinic.run()["findings"]
    settings.ROTATION_DRAIN = 7200.0
    patient = clinic.run()["findings"]

    assert finding["id"] == "rotation-slow"
    assert "for 60 minutes. It waits for: The function is being updated." in finding["sentence"]
    assert patient == []


def test_without_a_worker_the_worker_is_the_finding(clinic: Clinic) -> None:
    _begun(clinic)
    Rotation.objects.update(due_at=timezone.now() - HOUR)

    (finding,) = clinic.run()["findings"]

    assert finding["id"] == "portal-scheduler"


def test_one_that_came_forward_a_moment_ago_is_no_fault(clinic: Clinic) -> None:
    rotation = _begun(clinic)
    rotation.events.create(step="admit", text="The mapping holds the new value.")

    assert clinic.run()["findings"] == []


def _pair(clinic: Clinic) -> None:
    clinic.functions.publish_version(FunctionName=clinic.name)
    for alias in ("blue", "green"):
        clinic.functions.create_alias(FunctionName=clinic.name, Name=alias, FunctionVersion="1")
        url = clinic.aws.function_url(clinic.name, qualifier=alias)
        clinic.aws.open_to_everyone(clinic.name, qualifier=alias)
    SecretFunction.objects.update(aliases=["blue", "green"], accepts="one")
    Endpoint.objects.update(url=url)


@pytest.mark.slow
@pytest.mark.parametrize("aliased", [_alias, _pair])
def test_after_a_rotation_no_alias_is_behind(
    clinic: Clinic, settings: Settings, aliased: Callable[[Clinic], None]
) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.3
    aliased(clinic)

    _rotate()
    told = clinic.run()

    assert told["findings"] == []
    assert len({one["subject"] for one in told["skipped"] if one["id"] == "alias-behind"}) < 2
