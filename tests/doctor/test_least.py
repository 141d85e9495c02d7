"""The policy that `manage.py policy` prints is enough, where AWS enforces it, and is the least."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from streams.doctor import run
from streams.models import Endpoint, Rotation, RotationState, SecretFunction
from streams.rotation import engine
from tests.doctor.conftest import Identified

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNT = "123456789012"


def printed(*words: str) -> dict[str, Any]:
    out = StringIO()
    call_command("policy", "--account", ACCOUNT, *words, stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def allowed(policy: dict[str, Any]) -> dict[tuple[str, ...], list[str]]:
    return {tuple(one["Action"]): one["Resource"] for one in policy["Statement"]}


@pytest.mark.slow
def test_it_is_enough_to_rotate_and_for_the_doctor(portal: Identified, settings: Settings) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.2
    portal.clinic.rest(stream=True)
    portal.clinic.http()
    portal.may_no_more("rotate")
    account = portal.function.split(":")[4]

    out = StringIO()
    call_command("policy", "--account", account, "--region", portal.aws.region, stdout=out)
    portal.iam.put_user_policy(
        UserName=portal.name, PolicyName="least", PolicyDocument=out.getvalue()
    )

    assert portal.clinic.run()["findings"] == []
    report = run.examine(None, engine.account(), seconds=60, say=lambda _: None)
    assert "gateway-edge-idle" in {one.check.id for one in report.passes}
    call_command("rotate", portal.clinic.secret.name, "--wait", stdout=StringIO())
    assert Rotation.objects.get().state == RotationState.COMPLETED
    # Without any one of its statements it is not.
    whole = json.loads(out.getvalue())
    for left_out in whole["Statement"]:
        rest = [one for one in whole["Statement"] if one is not left_out]
        portal.iam.put_user_policy(
            UserName=portal.name, PolicyName="least",
            PolicyDocument=json.dumps(whole | {"Statement": rest}),
        )  # fmt: skip
        found = {finding["id"] for finding in portal.clinic.run()["findings"]}
        assert found & {"identity-lacks", "identity-sees-less"}, left_out


def registered(**fields: Any) -> None:
    given = {
        "slug": "archive",
        "title": "Archive",
        "kind": "s3",
        "bucket": "exports",
        "key": "a.csv",
    }
    Endpoint.objects.create(**given | fields)


def test_the_web_process_may_fetch_and_rotate_nothing(portal: Identified) -> None:
    registered()
    registered(slug="off", key="b.csv", enabled=False)
    registered(slug="other", key="c.csv", role_arn=f"arn:aws:iam::{ACCOUNT}:role/other")

    assert allowed(printed("--web", "--region", portal.aws.region)) == {
        ("s3:GetObject",): ["arn:aws:s3:::exports/a.csv"],
        ("sts:AssumeRole",): [f"arn:aws:iam::{ACCOUNT}:role/other"],
    }
    assert allowed(printed("--role", f"arn:aws:iam::{ACCOUNT}:role/other")) == {
        ("s3:GetObject",): ["arn:aws:s3:::exports/c.csv"]
    }


def test_routes_tell_which_of_two_integrations_with_the_header_is_ours(portal: Identified) -> None:
    gateway = portal.clinic.http()

    found = allowed(printed("--region", portal.aws.region))

    [places] = [places for actions, places in found.items() if actions == ("apigateway:GET",)]
    assert any(place.endswith(f"/apis/{gateway.api_id}/routes") for place in places)


def test_the_doctor_may_see_when_a_stage_was_deployed(portal: Identified) -> None:
    gateways = [portal.clinic.http(), portal.clinic.rest(stream=True)]

    found = allowed(printed("--region", portal.aws.region))

    [places] = [places for actions, places in found.items() if actions == ("apigateway:GET",)]
    for gateway, kind in zip(gateways, ("apis", "restapis"), strict=True):
        assert any(place.endswith(f"/{kind}/{gateway.api_id}/deployments/*") for place in places)


def test_where_a_value_stands_in_secrets_manager_it_may_be_kept_there(portal: Identified) -> None:
    secret = portal.clinic.secret
    secret.store = "secrets-manager"
    secret.save()
    region = SecretFunction.objects.get().region or portal.aws.region

    found = allowed(printed("--region", region))

    [places] = [places for actions, places in found.items() if "PutSecretValue" in str(actions)]
    start = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:spillway/{secret.name}"
    assert places == [f"{start}-??????"]
    registered()
    assert "secretsmanager" not in json.dumps(printed("--web", "--region", region))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--account", "12"], "twelve digits"),
        (["--role", "worker"], "the ARN of a role"),
        (["--account", ACCOUNT], "Nothing that is registered"),
    ],
)
def test_what_it_cannot_tell_it_says(db: None, words: list[str], told: str) -> None:
    with pytest.raises(CommandError, match=told):
        call_command("policy", "--region", "eu-central-1", *words)
