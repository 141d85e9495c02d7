"""Each check is shown in a real set-up: a table or a test somewhere breaks what it looks at.

Facts made by hand do not count. Each module that has a table runs all of it, and finds that alone.
"""

from collections.abc import Iterator
from types import ModuleType

from streams.doctor.checks import ALL
from tests.doctor import (
    test_accounts,
    test_bodies,
    test_disks,
    test_faults,
    test_gateways,
    test_identity,
    test_objects,
    test_portal,
    test_proxies,
    test_rotations,
)

# What is broken, by the finding that must appear.
TABLES = (
    test_accounts.REFUSED, test_accounts.SKEWED, test_bodies.FAULTS, test_faults.FAULTS,
    test_gateways.FAULTS, test_identity.FAULTS, test_identity.UNREADABLE, test_objects.FAULTS,
    test_portal.FAULTS, test_proxies.FAULTS,
)  # fmt: skip
# Those whose tests say what they show.
MODULES = (
    test_accounts, test_bodies, test_disks, test_gateways, test_identity, test_portal,
    test_proxies, test_rotations,
)  # fmt: skip


def marked(module: ModuleType) -> Iterator[str]:
    for name, one in vars(module).items():
        if name.startswith("test_"):
            for mark in getattr(one, "pytestmark", []):
                yield from mark.args if mark.name == "shows" else ()


def test_each_check_is_shown_in_a_real_set_up() -> None:
    in_tables = [fault[0] for table in TABLES for fault in table]
    by_tests = [identity for module in MODULES for identity in marked(module)]

    assert {*in_tables, *by_tests} == {check.id for check in ALL}


def test_each_table_is_what_a_test_runs_through() -> None:
    """Else a row could stand there untried."""
    run = [
        rows
        for module in (*MODULES, test_faults, test_objects)
        for one in vars(module).values()
        for mark in getattr(one, "pytestmark", [])
        if mark.name == "parametrize"
        for rows in mark.args[1]
    ]

    untried = [row for table in TABLES for row in table if row not in run]
    # These two stand in one test, that takes half the time so.
    assert untried == test_bodies.SLOW
