"""The identity that the portal runs under, as IAM of the stand-in for AWS simulates it."""

import json
import secrets
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from sandbox.settings import ACCOUNT
from streams.models import Endpoint, SecretFunction
from streams.rotation import engine
from tests.doctor.conftest import Clinic
from tests.doctor.serving import Handler, send, serving

TRUST = json.dumps({"Version": "2012-10-17", "Statement": []})


def _allowing(*statements: tuple[str, str]) -> str:
    """A policy that allows an action on a resource, each."""
    told = [{"Effect": "Allow", "Action": one, "Resource": place} for one, place in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": told})


@dataclass
class Identified:
    """A portal that runs as a user of IAM, which may do what its policies say."""

    clinic: Clinic
    user: str

    @property
    def iam(self) -> Any:
        return self.clinic.aws.client("iam")

    @property
    def function(self) -> str:
        return f"arn:aws:lambda:{self.clinic.aws.region}:{ACCOUNT}:function:{self.clinic.name}"

    def may(self, name: str, *statements: tuple[str, str]) -> None:
        self.iam.put_user_policy(
            UserName=self.user, PolicyName=name, PolicyDocument=_allowing(*statements)
        )

    def may_rotate(self) -> None:
        self.may(
            "rotate",
            *((f"lambda:{name}", self.function) for name in (
                "GetFunctionConfiguration", "UpdateFunctionConfiguration", "GetFunctionUrlConfig",
                "GetPolicy",
            )),
        )  # fmt: skip

    def role(self) -> str:
        """One below a path, which a session of it does not tell. The function rotates under it."""
        name = f"worker-{secrets.token_hex(4)}"
        made = self.iam.create_role(
            RoleName=name, Path="/spillway/", AssumeRolePolicyDocument=TRUST
        )["Role"]
        names = ("GetFunctionConfiguration", "UpdateFunctionConfiguration", "Get*")
        self.iam.put_role_policy(
            RoleName=name, PolicyName="rotate",
            PolicyDocument=_allowing(*((f"lambda:{one}", self.function) for one in names)),
        )  # fmt: skip
        SecretFunction.objects.update(role_arn=made["Arn"])
        return str(made["Arn"])


@pytest.fixture
def portal(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Identified:
    name = f"portal-{secrets.token_hex(4)}"
    iam = clinic.aws.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    engine.account.cache_clear()
    made = Identified(clinic, name)
    made.may_rotate()
    return made


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
    assert portal.user in finding["sentence"]
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
    portal.iam.delete_user_policy(UserName=portal.user, PolicyName="rotate")
    found = portal.clinic.run()["findings"]
    assert [one["id"] for one in found] == ["identity-lacks", "identity-sees-less"]

    for finding in found:
        (line,) = finding["cli"]
        words = shlex.split(line)
        assert words[:4] == ["aws", "iam", "put-user-policy", "--user-name"]
        assert words[-1] in finding["fix"]
        portal.iam.put_user_policy(UserName=words[4], PolicyName=words[6], PolicyDocument=words[8])

    assert portal.clinic.run()["findings"] == []


def test_a_role_is_looked_at_by_its_own_keys_and_below_its_path(portal: Identified) -> None:
    arn = portal.role()
    portal.iam.delete_user_policy(UserName=portal.user, PolicyName="rotate")

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
