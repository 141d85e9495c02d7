"""A rotation that does not come forward: what it waits for, and which value is where."""

import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from streams.models import Endpoint, Rotation, RotationState, SecretFunction
from streams.rotation import starting
from streams.tasks import advance_due, advance_rotation
from tests import clocks
from tests.doctor import commands
from tests.doctor.conftest import Clinic, Identified
from tests.doctor.test_faults import _alias
from tests.functional.conftest import until
from tests.rotation.proxy import Proxy

HOUR = timedelta(hours=1)


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

    commands.do(clinic.aws, finding["cli"])
    assert clinic.run()["findings"] == []


@pytest.mark.slow
@pytest.mark.shows("rotation-slow")
def test_a_rotation_whose_function_is_updated_for_an_hour_is_told_until_it_comes_forward(
    clinic: Clinic, proxy: Proxy, settings: Settings
) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = 0.2
    proxy.updating = True
    with clocks.database_moved(-HOUR):
        rotation = starting.start(clinic.secret, by="ada")
        advance_rotation(rotation.pk)

    assert [one["id"] for one in clinic.run()["findings"]] == ["portal-scheduler"]
    advance_due()
    advance_rotation(rotation.pk)
    (finding,) = clinic.run()["findings"]

    assert (finding["id"], finding["severity"], clinic.status) == ("rotation-slow", "error", 1)
    told = "at the step admit for 60 minutes. It waits for: The function is being updated."
    assert told in finding["sentence"]
    settings.ROTATION_DRAIN = 7200.0
    assert clinic.run()["findings"] == [], "it may wait so long"

    settings.ROTATION_DRAIN = 60.0
    proxy.updating = False
    assert until(lambda: advance_rotation(rotation.pk) or _step() == "drain", 30)
    assert clinic.run()["findings"] == [], "it came forward a moment ago"
    settings.ROTATION_DRAIN = 0.2
    commands.do(clinic.aws, finding["cli"])
    assert Rotation.objects.get().state == RotationState.COMPLETED
    assert clinic.run()["findings"] == []


def _step() -> str:
    return Rotation.objects.get().step


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
