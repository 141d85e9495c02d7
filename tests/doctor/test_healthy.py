"""Where nothing is wrong, nothing is found."""

import gzip
import random
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from streams.doctor import run
from streams.doctor.checks import ALL
from streams.models import Endpoint
from streams.rotation import engine, starting
from tests.doctor import commands
from tests.doctor.conftest import Clinic, Identified
from tests.doctor.serving import Handler, send, serving
from tests.doctor.test_faults import _alias
from tests.doctor.test_portal import MANIFEST, _behind_tls

# Where these pass, other tests say: a portal behind a proxy, a role, a stage after a rotation. And
# regions are looked at where one is missing.
ELSEWHERE = {
    "region-missing",
    "portal-elsewhere", "proxy-forwards", "proxy-buffers", "proxy-compresses", "proxy-ranges",
    "role-refused", "identity-rotates-elsewhere", "stage-older",
}  # fmt: skip


def test_a_function_behind_its_url_and_two_gateways_is_found_well(clinic: Clinic) -> None:
    clinic.rest()
    clinic.http(auto_deploy=False)

    told = clinic.run()

    assert told["findings"] == []
    assert (told["ok"], clinic.status) == (True, 0)
    assert told["passed"] > 40


def _heeds(handler: Handler) -> None:
    """What asks for it gets it gzipped, and too much of it for a sample."""
    body = random.Random(1).randbytes(400_000)
    if "gzip" in handler.headers["Accept-Encoding"]:
        send(handler, 200, gzip.compress(body), Content_Encoding="gzip")
    else:
        send(handler, 200, body)


def _passed() -> set[str]:
    report = run.examine(None, engine.account(), seconds=60, say=lambda _: None)
    assert [(one.check.id, one.found.sentence) for one in report.findings] == []
    return {one.check.id for one in report.passes}


@pytest.mark.slow
def test_each_check_passes_where_all_is_well_and_is_not_skipped_everywhere(
    portal: Identified, settings: Settings, tmp_path: Path
) -> None:
    clinic = portal.clinic
    _behind_tls(settings, "https://localhost:1")
    settings.STATIC_ROOT, settings.STORAGES = str(tmp_path), MANIFEST
    call_command("collectstatic", interactive=False, verbosity=0)
    _alias(clinic)
    clinic.url = Endpoint.objects.get().url
    clinic.rest(stream=True)
    clinic.http(auto_deploy=False)
    signed = {"auth": "sigv4", "region": portal.aws.region}
    Endpoint.objects.create(
        slug="object", title="A", kind="s3", bucket="exports", key="orders.csv", **signed
    )
    Endpoint.objects.create(
        slug="invoked", title="B", kind="lambda", function=clinic.name, secret=clinic.secret,
        **signed,
    )  # fmt: skip
    portal.may_read("exports")
    portal.may(
        "besides", ("lambda:InvokeFunction", portal.function), ("apigateway:GET", "*"),
        # What the emulator calls GetAlias.
        ("lambda:ListAliases", portal.function),
    )  # fmt: skip
    with serving(_heeds) as url:
        Endpoint.objects.create(slug="gzip", title="C", kind="http", url=url, keep_gzip=True)
        for finding in clinic.run()["findings"]:
            commands.do(portal.aws, finding["cli"])

        passed = _passed()
        # While it goes on, values are not compared.
        starting.start(clinic.secret, by="ada")
        passed |= _passed()

    assert {check.id for check in ALL} - passed == ELSEWHERE
