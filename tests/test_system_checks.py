"""`manage.py check --deploy`, which asks neither a database nor a network."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from sandbox.demo import QUICK
from streams.aws.account import _CONTROL
from streams.checks import DRAIN, LONGEST_CALL, NUMBERS
from streams.doctor.checks import ALL, Severity
from streams.doctor.facts import DeploymentFacts

PAGE = Path(__file__).resolve().parents[1] / "docs" / "doctor.md"
OURS = [check for check in ALL if check.of is DeploymentFacts]


# What a process has imported when Django is ready, and whether checks then know the admin's pages.
BEGUN = """
import sys

import django

django.setup()
print(*sys.modules)

from django.contrib import admin
from django.core.checks import Tags, run_checks

run_checks(tags=[Tags.admin])
print(admin.site.get_model_admin(__import__("streams.models").models.Secret))
"""


def ids(*, deploy: bool = True) -> list[str]:
    messages = run_checks(include_deployment_checks=deploy)
    return [str(one.id) for one in messages if str(one.id).startswith("spillway.")]


def test_a_portal_as_it_comes_has_nothing_to_say() -> None:
    assert ids() == []


def test_what_the_doctor_finds_is_said_with_its_fix(settings: Settings) -> None:
    settings.BASE_URL = "https://exports.example.com"
    settings.ALLOWED_HOSTS = ["*"]
    settings.STATIC_ROOT = tempfile.mkdtemp(dir=settings.STATE_DIR)
    settings.STORAGES = {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}
    }

    assert ids() == ["spillway.E003", "spillway.W002", "spillway.W005"]
    (message,) = (
        one for one in run_checks(include_deployment_checks=True) if one.id == "spillway.E003"
    )
    assert message.msg == "SPILLWAY_BASE_URL begins with https, and SPILLWAY_HTTPS is off."
    assert message.hint is not None
    assert "SPILLWAY_HTTPS=true" in message.hint
    assert ids(deploy=False) == [], "no command is kept from running"


def test_a_drain_outlasts_the_lease_and_the_longest_call(settings: Settings) -> None:
    settings.ROTATION_LEASE = 100.0
    settings.ROTATION_DRAIN = 130.0
    assert ids() == []

    settings.ROTATION_DRAIN = 129.0

    assert ids() == [DRAIN]
    assert ids(deploy=False) == []
    assert f"| `{DRAIN}` |" in PAGE.read_text()
    assert DRAIN not in {f"spillway.W{number:03}" for number in NUMBERS.values()}


def test_no_call_takes_longer_than_that_check_reckons_with() -> None:
    limits: Any = _CONTROL

    assert limits.connect_timeout + limits.read_timeout <= LONGEST_CALL


def test_the_demo_is_held_to_it_too() -> None:
    lease, drain = (float(QUICK[f"SPILLWAY_ROTATION_{name}"]) for name in ("LEASE", "DRAIN"))

    assert drain >= lease + LONGEST_CALL


def test_each_of_these_checks_has_a_number_of_its_own_that_is_documented() -> None:
    assert set(NUMBERS) == {check.id for check in OURS}
    assert len(set(NUMBERS.values())) == len(NUMBERS)

    told = dict(
        re.findall(r"^\| `spillway\.([EW]\d{3})` \| \[([a-z-]+)\]", PAGE.read_text(), re.MULTILINE)
    )

    expected = {
        f"{'E' if check.severity == Severity.ERROR else 'W'}{NUMBERS[check.id]:03}": check.id
        for check in OURS
    }
    assert told == expected


def test_what_only_pages_and_aws_need_is_not_imported_by_every_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGUN], capture_output=True, text=True, check=True, timeout=60
    )

    imported, page = done.stdout.splitlines()
    assert {"streams.admin", "aiohttp", "botocore", "jwt", "ninja"}.isdisjoint(imported.split())
    assert page == "streams.SecretAdmin", "its checks do not depend on what was imported before"
