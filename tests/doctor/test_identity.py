"""The identity that the portal runs under, as IAM of the stand-in for AWS simulates it."""

import shlex
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from sandbox.client import Sandbox
from streams.models import Endpoint
from streams.rotation import engine
from tests.doctor import commands
from tests.doctor.conftest import Identified, check_terraform, examined
from tests.doctor.serving import Handler, send, serving


def _may_not_rotate(portal: Identified) -> None:
    portal.may("rotate", ("lambda:Get*", portal.function))


def _may_not_look(portal: Identified) -> None:
    rotates = ("UpdateFunctionConfiguration", "GetFunctionConfiguration", "GetFunctionUrlConfig")
    portal.may("rotate", *((f"lambda:{one}", portal.function) for one in rotates))


def _is_administrator(portal: Identified) -> None:
    portal.may("all", ("*", "*"))


def _may_do_all_to_its_function(portal: Identified) -> None:
    portal.may("more", ("lambda:*", portal.function))


def _may_write_its_objects(portal: Identified) -> None:
    Endpoint.objects.create(
        slug="object", title="An object", kind="s3", bucket="exports", key="orders.csv",
        region=portal.clinic.aws.region, auth="sigv4",
    )  # fmt: skip
    portal.may("more", ("s3:*", "arn:aws:s3:::exports/*"))
    portal.may_read("exports")


def _has_a_role_for_that(portal: Identified) -> None:
    portal.role()


FAULTS: list[tuple[str, Callable[[Identified], None], str]] = [
    ("identity-lacks", _may_not_rotate, "lambda:UpdateFunctionConfiguration."),
    ("identity-sees-less", _may_not_look, "lambda:GetPolicy."),
    ("identity-may-more", _is_administrator, "iam:PassRole"),
    ("identity-may-more", _may_do_all_to_its_function, "lambda:UpdateFunctionCode."),
    ("identity-may-more", _may_write_its_objects, "s3:DeleteObject, s3:PutObject."),
    ("identity-rotates-elsewhere", _has_a_role_for_that, "lambda:UpdateFunctionConfiguration."),
]


@pytest.mark.parametrize(("identity", "break_it", "told"), FAULTS)
def test_exactly_that_fault_of_the_identity_is_found(
    portal: Identified, identity: str, break_it: Callable[[Identified], None], told: str
) -> None:
    break_it(portal)

    (finding,) = portal.clinic.run()["findings"]

    assert (finding["id"], portal.clinic.status) == (identity, 0)
    assert portal.name in finding["sentence"]
    assert told in finding["sentence"]


def test_an_identity_that_may_do_what_is_needed_is_found_well(portal: Identified) -> None:
    told = portal.clinic.run()

    assert told["findings"] == []
    skipped = {one["id"] for one in told["skipped"] if one["id"].startswith("identity-")}
    # No other identity rotates here.
    assert skipped == {"identity-rotates-elsewhere"}


def test_the_policy_that_it_advises_mends_it(portal: Identified) -> None:
    portal.clinic.rest()
    portal.clinic.http()
    portal.may_no_more("rotate")
    found = portal.clinic.run()["findings"]
    told = [one["id"] for one in found]
    unreadable = ["function-unreadable", "gateway-unreadable", "gateway-unreadable"]
    assert told == [*unreadable, "identity-lacks", "identity-sees-less"]

    for finding in found[len(unreadable) :]:
        (line,) = finding["cli"]
        assert line.startswith("aws iam put-user-policy")
        assert shlex.split(line)[-1] in finding["fix"]
        commands.do(portal.aws, [line])

    assert portal.clinic.run()["findings"] == []


def test_a_role_is_looked_at_by_its_own_keys_and_below_its_path(portal: Identified) -> None:
    arn = portal.role()
    portal.may_no_more("rotate")

    told = portal.clinic.run()

    assert told["findings"] == []
    skipped = [one for one in told["skipped"] if one["subject"] == f"role {arn}"]
    of_identity = {one["id"] for one in skipped if one["id"].startswith("identity-")}
    assert of_identity == {"identity-rotates-elsewhere"}


def test_the_web_process_need_not_rotate(portal: Identified) -> None:
    (finding,) = portal.clinic.run("--web")["findings"]

    assert finding["id"] == "identity-rotates-elsewhere"


def _refuses_to_simulate(handler: Handler) -> None:
    body = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    send(handler, 403, body, Content_Type="text/xml")


def test_where_aws_does_not_simulate_it_is_skipped_and_says_why(
    portal: Identified, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(_refuses_to_simulate) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", url)
        told = portal.clinic.run()

    assert told["findings"] == []
    reasons = {one["reason"] for one in told["skipped"] if one["id"] == "identity-lacks"}
    assert reasons == {"AWS does not allow it (SimulatePrincipalPolicy, AccessDenied)."}


def _may_look_at_nothing(portal: Identified) -> None:
    portal.may_no_more("rotate")


def _may_look_at_the_function_alone(portal: Identified) -> None:
    portal.clinic.rest()


UNREADABLE: list[tuple[str, Callable[[Identified], None]]] = [
    ("function-unreadable", _may_look_at_nothing),
    ("gateway-unreadable", _may_look_at_the_function_alone),
]


@pytest.mark.parametrize(("identity", "break_it"), UNREADABLE)
def test_what_an_identity_may_not_look_at_is_told_where_it_may_not_be_simulated_either(
    portal: Identified, identity: str, break_it: Callable[[Identified], None]
) -> None:
    break_it(portal)
    portal.may_no_more("simulate")

    (finding,) = portal.clinic.run()["findings"]

    assert (finding["id"], portal.clinic.status) == (identity, 0)
    assert "AccessDeniedException" in finding["sentence"]
    check_terraform(identity, finding["terraform"])
    portal.may_rotate()
    portal.may("gateways", ("apigateway:GET", "*"))
    assert portal.clinic.run()["findings"] == []


@pytest.mark.shows("identity-root")
def test_keys_of_an_account_s_root_user_are_told(
    account: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an account besides the emulator's usual one, which is nobody's to be afraid for."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "123456789012")
    engine.account.cache_clear()
    s3: Any = boto3.client("s3")
    where = {"LocationConstraint": account.region}
    s3.create_bucket(Bucket="of-another", CreateBucketConfiguration=where)
    s3.put_object(Bucket="of-another", Key="orders.csv", Body=b"a,b")
    Endpoint.objects.create(
        slug="object", title="An object", kind="s3", bucket="of-another", key="orders.csv",
        region=account.region, auth="sigv4",
    )  # fmt: skip

    status, told = examined()

    (finding,) = told["findings"]
    assert (finding["id"], status) == ("identity-root", 0)
    assert finding["evidence"] == ["GetCallerIdentity: arn:aws:iam::123456789012:root"]
