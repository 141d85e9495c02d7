"""Credentials, roles, the region and the clock: one finding for each, however much hangs on it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import time
from urllib.parse import parse_qs

import pytest

from streams.models import Endpoint, Gateway, SecretFunction
from streams.rotation import engine
from tests.doctor.conftest import Clinic, check_terraform

ROLE = "arn:aws:iam::000000000000:role/exports"
_IDENTITY = (
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::000000000000:user/a</Arn>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_ROLE = (
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>AKIAROLE</AccessKeyId>"
    "<SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    "<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>"
    "</AssumeRoleResponse>"
)


@dataclass
class Sts:
    """STS as AWS words it. `refusals` are codes by operation; our clock is `ahead` of it."""

    url: str = ""
    refusals: dict[str, str] = field(default_factory=dict)
    ahead: float = 0.0
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def sts(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    made = Sts()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: `asked` has them."""

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time() - made.ahead, usegmt=True)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            operation = parse_qs(body)["Action"][0]
            made.asked.append(operation)
            status, text = 200, _ROLE if operation == "AssumeRole" else _IDENTITY
            if code := made.refusals.get(operation):
                status = 403
                text = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", made.url)
    yield made
    server.shutdown()
    server.server_close()


def _objects(clinic: Clinic, number: int, **more: str) -> None:
    for one in range(number):
        Endpoint.objects.create(
            slug=f"object-{one}", title="Object", kind="s3", bucket="exports", key="orders.csv",
            region=clinic.aws.region, **more,
        )  # fmt: skip


def test_without_credentials_there_is_one_finding_whatever_hangs_on_them(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.rest()
    _objects(clinic, 5)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    engine.account.cache_clear()

    told = clinic.run()

    (finding,) = told["findings"]
    assert (finding["id"], finding["sentence"]) == (
        "credentials-missing",
        "This portal has no AWS credentials.",
    )
    follow = {one["subject"] for one in told["skipped"] if "credentials-missing" in one["reason"]}
    objects = {f"endpoint object-{one}" for one in range(5)}
    assert follow == {f"function {clinic.name}", str(Gateway.objects.get()), *objects}
    assert clinic.status == 1


REFUSED = [
    ("credentials-expired", "ExpiredToken", 0.0),
    ("credentials-invalid", "InvalidClientTokenId", 0.0),
    ("credentials-invalid", "SignatureDoesNotMatch", 0.0),
    ("clock-skew", "SignatureDoesNotMatch", -900.0),
]


@pytest.mark.parametrize(("identity", "code", "ahead"), REFUSED)
def test_what_aws_refuses_is_called_by_its_name(
    clinic: Clinic, sts: Sts, identity: str, code: str, ahead: float
) -> None:
    sts.refusals["GetCallerIdentity"] = code
    sts.ahead = ahead
    _objects(clinic, 2)

    told = clinic.run()

    assert [one["id"] for one in told["findings"]] == [identity]
    assert sts.asked == ["GetCallerIdentity"]
    # With what has expired nothing else is asked; what one region does not know, another may.
    unasked = any("follows from credentials-expired" in one["reason"] for one in told["skipped"])
    assert unasked == (identity == "credentials-expired")
    check_terraform(identity, told["findings"][0]["terraform"])


def test_a_clock_is_told_in_seconds_before_anything_is_refused(clinic: Clinic, sts: Sts) -> None:
    sts.ahead = 400.0

    (finding,) = clinic.run()["findings"]

    assert finding["id"] == "clock-skew"
    (seconds,) = re.findall(r"clock is (\d+) seconds ahead of AWS's", finding["sentence"])
    assert 400 <= int(seconds) < 420


def test_a_role_that_may_not_be_assumed_is_one_finding_and_the_rest_is_looked_at(
    clinic: Clinic, sts: Sts
) -> None:
    sts.refusals["AssumeRole"] = "AccessDenied"
    _objects(clinic, 3, role_arn=ROLE)

    told = clinic.run()

    (finding,) = told["findings"]
    assert (finding["id"], finding["subject"]) == ("role-refused", f"role {ROLE}")
    assert finding["evidence"] == [
        "AWS's code: AccessDenied", f"asked in: {clinic.aws.region}",
    ]  # fmt: skip
    check_terraform("role-refused", finding["terraform"])
    assert not any(f"function {clinic.name}" in one["reason"] for one in told["skipped"])
    assert sts.asked == ["GetCallerIdentity", "AssumeRole"]


def test_a_role_that_may_be_assumed_is_no_fault(clinic: Clinic, sts: Sts) -> None:
    SecretFunction.objects.update(role_arn=ROLE)

    assert clinic.run()["findings"] == []
    assert sts.asked.count("AssumeRole") == 1


def test_an_sts_that_is_away_is_no_fault(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    engine.account.cache_clear()

    told = clinic.run()

    assert told["findings"] == []
    assert any("did not answer (GetCallerIdentity" in one["reason"] for one in told["skipped"])


def test_a_region_that_nobody_says_is_missing_once(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.rest()
    SecretFunction.objects.update(region="")
    clinic.secret.gateways.update(region="")
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(variable, "/nonexistent")

    told = clinic.run()

    (finding,) = told["findings"]
    assert finding["id"] == "region-missing"
    assert clinic.name in finding["sentence"]
    assert clinic.status == 1
