"""`manage.py check --deploy`, which asks neither a database nor a network."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from django.core.checks import run_checks
from pytest_django.fixtures import Settings

from streams.checks import NUMBERS
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
