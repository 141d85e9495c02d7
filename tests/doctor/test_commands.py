"""The commands that a finding tells mend it, and nothing else is found then."""

from collections.abc import Callable

import pytest
from pytest_django.fixtures import Settings

from tests.doctor import commands, test_faults, test_gateways
from tests.doctor.conftest import Clinic

# Another address is what the next finding asks for.
LEFT = {"url-missing": ["url-differs"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("identity", "break_it"),
    [
        (identity, break_it)
        for identity, break_it, _ in (*test_faults.FAULTS, *test_gateways.FAULTS)
        if identity in commands.MEND
    ],
)
def test_what_is_told_as_commands_mends_it(
    clinic: Clinic, settings: Settings, identity: str, break_it: Callable[[Clinic], None]
) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.3
    break_it(clinic)
    (finding,) = clinic.run()["findings"]

    commands.do(clinic.aws, finding["cli"])

    assert [one["id"] for one in clinic.run()["findings"]] == LEFT.get(identity, [])
