"""What all tests share."""

import os
from collections.abc import Generator
from typing import Any

import pytest
from django.conf import settings as django_settings
from hypothesis import settings

# Whether a change lands must not hang on chance or on how busy a machine is. Run by hand, the
# property tests go on looking for new examples; what they find becomes an `@example`.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("SPILLWAY_TESTS_NO_SKIP") else "here")


# Seconds after which a slow test hangs, unless it says so itself.
SLOW = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives those that start servers and browsers the time that a busy machine takes for it."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file, as in use: of a database in memory, threads lock each other's tables."""
    database = django_settings.DATABASES["default"]
    if "sqlite" in database["ENGINE"]:
        database["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "db.sqlite3")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: a missing program or server is a failure there."""
    report = yield
    if report.skipped and os.environ.get("SPILLWAY_TESTS_NO_SKIP"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
