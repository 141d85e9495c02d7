"""Credentials, roles, the region and the clock: one finding for each, however much hangs on it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from botocore.config import Config

from sandbox.client import ROLE
from sandbox.settings import ACCOUNT
from streams.models import Endpoint, Gateway, SecretFunction
from streams.rotation import engine
from tests.doctor.conftest import Clinic, Identified, allowing, check_terraform, trusting


def _objects(clinic: Clinic, number: int, **more: str) -> None:
    for one in range(number):
        Endpoint.objects.create(
            slug=f"object-{one}", title="Object", kind="s3", bucket="exports", key="orders.csv",
            region=clinic.aws.region, auth="sigv4", **more,
        )  # fmt: skip


@pytest.mark.shows("credentials-missing")
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


def _keys_are_nobodys(_: Identified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA" + "A" * 16)


def _key_has_another_secret(_: Identified, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s" * 40)


def _session_has_ended(portal: Identified, monkeypatch: pytest.MonkeyPatch) -> None:
    # AWS makes none that short: the time is not waited for.
    sts = portal.aws.client("sts", config=Config(parameter_validation=False))
    ended = sts.assume_role(RoleArn=ROLE, RoleSessionName="ended", DurationSeconds=-60)
    keys = ended["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])


REFUSED = [
    ("credentials-expired", _session_has_ended, "ExpiredToken"),
    ("credentials-invalid", _keys_are_nobodys, "InvalidClientTokenId"),
    ("credentials-invalid", _key_has_another_secret, "SignatureDoesNotMatch"),
]


@pytest.mark.parametrize(("identity", "break_it", "code"), REFUSED)
def test_what_aws_refuses_is_called_by_its_name(
    portal: Identified,
    monkeypatch: pytest.MonkeyPatch,
    identity: str,
    break_it: Callable[[Identified, pytest.MonkeyPatch], None],
    code: str,
) -> None:
    _objects(portal.clinic, 2)
    with monkeypatch.context() as broken:
        break_it(portal, broken)
        engine.account.cache_clear()
        told = portal.clinic.run()
    # Good keys are put in again.
    engine.account.cache_clear()

    (finding,) = told["findings"]
    assert (finding["id"], finding["evidence"][0]) == (identity, f"AWS's code: {code}")
    # With what has expired nothing else is asked; what one region does not know, another may.
    unasked = any("follows from credentials-expired" in one["reason"] for one in told["skipped"])
    assert unasked == (identity == "credentials-expired")
    check_terraform(identity, finding["terraform"])
    portal.may_read("exports")
    assert portal.clinic.run()["findings"] == []


SKEWED = [
    # AWS still takes what is signed for some services, ...
    ("clock-skew", 400.0, r"clock is (\d+) seconds ahead of AWS's"),
    # ... and takes nothing at all.
    ("clock-skew", -1200.0, r"clock is (\d+) seconds behind AWS's"),
]


@pytest.mark.parametrize(("identity", "ahead", "sentence"), SKEWED)
def test_a_clock_is_told_in_seconds_and_nothing_that_aws_refuses_for_it(
    portal: Identified, identity: str, ahead: float, sentence: str
) -> None:
    _objects(portal.clinic, 2)
    portal.may_read("exports")

    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead)):
        (finding,) = portal.clinic.run()["findings"]

    assert finding["id"] == identity
    (seconds,) = re.findall(sentence, finding["sentence"])
    assert abs(int(seconds) - abs(ahead)) < 20
    check_terraform(identity, finding["terraform"])


@pytest.mark.shows("role-refused")
def test_a_role_that_may_not_be_assumed_is_one_finding_and_the_rest_is_looked_at(
    clinic: Clinic,
) -> None:
    iam, name = clinic.aws.client("iam"), f"others-{clinic.name}"
    other = f"arn:aws:iam::{ACCOUNT}:user/somebody-else"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusting(other))["Role"]["Arn"]
    _objects(clinic, 3, role_arn=role)

    told = clinic.run()

    (finding,) = told["findings"]
    assert (finding["id"], finding["subject"]) == ("role-refused", f"role {role}")
    assert finding["evidence"] == [
        "AWS's code: AccessDenied", f"asked in: {clinic.aws.region}",
    ]  # fmt: skip
    check_terraform("role-refused", finding["terraform"])
    assert not any(f"function {clinic.name}" in one["reason"] for one in told["skipped"])

    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trusting("*"))
    engine.account.cache_clear()
    iam.put_role_policy(
        RoleName=name, PolicyName="read",
        PolicyDocument=allowing(
            ("s3:GetObject", "arn:aws:s3:::exports/*"), ("s3:ListBucket", "arn:aws:s3:::exports"),
        ),
    )  # fmt: skip
    assert clinic.run()["findings"] == []


def test_an_sts_that_is_away_is_no_fault(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1")
    engine.account.cache_clear()

    told = clinic.run()

    assert told["findings"] == []
    assert any("did not answer (GetCallerIdentity" in one["reason"] for one in told["skipped"])


@pytest.mark.shows("region-missing")
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
