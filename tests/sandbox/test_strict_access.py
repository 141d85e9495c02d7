"""A sandbox that refuses as AWS does: signatures, policies, keys of KMS and regions of buckets."""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

import sandbox
from sandbox.client import ROLE, Sandbox
from tests.sandbox.conftest import Running

RUNTIME = Path(__file__).parent / "runtime"
WHERE = {"Bucket": "exports", "Key": "orders.csv"}


@pytest.fixture(scope="module")
def strict() -> Iterator[Sandbox]:
    settings = sandbox.Settings(propagation_seconds=0.01, strict_access=True)
    with sandbox.running(settings) as aws:
        aws.client("iam").create_role(
            RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument="{}"
        )
        aws.put_object(WHERE["Bucket"], WHERE["Key"], b"a,b\n")
        yield aws


@pytest.fixture
def user(strict: Sandbox) -> Callable[..., Any]:
    """Clients of a user who may do these things."""
    iam, name = strict.client("iam"), f"u-{secrets.token_hex(4)}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]

    def client(service: str, *actions: str, **other: str) -> Any:
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        iam.put_user_policy(
            UserName=name, PolicyName="may", PolicyDocument=json.dumps({"Statement": [statement]})
        )
        keys = {
            "aws_access_key_id": key["AccessKeyId"],
            "aws_secret_access_key": key["SecretAccessKey"], **other,
        }  # fmt: skip
        return boto3.client(  # type: ignore[call-overload]
            service, endpoint_url=strict.url, region_name=strict.region, **keys
        )

    return client


def refused(call: Callable[..., Any], **words: str) -> str:
    with pytest.raises(ClientError) as raised:
        call(**words)
    return str(raised.value.response["Error"]["Code"])


def test_who_may_is_let_in_and_who_may_not_is_refused(user: Callable[..., Any]) -> None:
    assert refused(user("s3", "s3:ListBucket").get_object, **WHERE) == "AccessDenied"
    assert user("s3", "s3:GetObject").get_object(**WHERE)["Body"].read() == b"a,b\n"
    assert refused(user("lambda", "s3:*").list_functions) == "AccessDeniedException"
    assert user("lambda", "lambda:*").list_functions()["Functions"] == []
    assert user("apigateway", "apigateway:GET").get_rest_apis()["items"] == []


def test_a_signature_is_verified(user: Callable[..., Any]) -> None:
    wrong = user("sts", "sts:*", aws_secret_access_key="wrong")

    assert refused(wrong.get_caller_identity) == "SignatureDoesNotMatch"


def test_who_may_not_simulate_is_told_nothing(user: Callable[..., Any]) -> None:
    sts = user("sts", "s3:*")
    asked = {"PolicySourceArn": sts.get_caller_identity()["Arn"], "ActionNames": ["s3:GetObject"]}

    assert refused(user("iam", "s3:*").simulate_principal_policy, **asked) == "AccessDenied"
    told = user("iam", "iam:*").simulate_principal_policy(
        **asked, ResourceArns=["arn:aws:s3:::a/b", "arn:aws:s3:::c/d"]
    )
    assert [one["EvalDecision"] for one in told["EvaluationResults"]] == ["implicitDeny"]


def test_an_object_opens_for_those_alone_who_may_use_its_key_while_it_is_enabled(
    strict: Sandbox, user: Callable[..., Any]
) -> None:
    kms = strict.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    where = {"Bucket": "exports", "Key": "sealed.csv"}
    sealed = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key}
    strict.put_object("exports", "sealed.csv", b"a,b\n", **sealed)

    assert refused(user("s3", "s3:*").get_object, **where) == "AccessDenied"
    assert user("s3", "s3:*").head_object(**where)["ContentLength"] == 4
    assert user("s3", "s3:*", "kms:Decrypt").get_object(**where)["Body"].read() == b"a,b\n"
    kms.disable_key(KeyId=key)
    assert refused(strict.client("s3").get_object, **where) == "KMS.DisabledException"


def first_answer(aws: Sandbox, bucket: str) -> Any:
    """What becomes of a request for an object there. The SDK follows to where it is."""
    answers = []
    s3 = aws.client("s3")
    s3.meta.events.register("needs-retry.s3", lambda response, **_: answers.append(response))

    assert s3.get_object(Bucket=bucket, Key="orders.csv")["Body"].read() == b"a,b\n"
    return answers[0]


def test_a_bucket_is_in_one_region(strict: Sandbox) -> None:
    replace(strict, region="us-west-2").put_object("west", "orders.csv", b"a,b\n")

    http, _ = first_answer(strict, "west")

    assert http.status_code == 301
    assert http.headers["x-amz-bucket-region"] == "us-west-2"


def test_the_endpoint_of_one_region_refuses_signatures_for_another(tuned: Running) -> None:
    tuned.aws.put_object("here", "orders.csv", b"a,b\n")

    http, told = first_answer(replace(tuned.aws, region="us-west-2"), "here")

    assert http.status_code == 400
    assert told["Error"] == {
        "Code": "AuthorizationHeaderMalformed",
        "Message": "The authorization header is malformed; the region 'us-west-2' is wrong; "
        "expecting 'eu-central-1'",
        "Region": "eu-central-1",
    }
    assert "x-amz-bucket-region" not in http.headers


def test_a_function_whose_key_is_disabled_does_not_become_ready(strict: Sandbox) -> None:
    kms, functions = strict.client("kms"), strict.client("lambda")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    kms.disable_key(KeyId=key)
    strict.deploy_function("ready", RUNTIME, "app.handler", {"A": "1"})

    functions.update_function_configuration(
        FunctionName="ready", KMSKeyArn=key, Environment={"Variables": {"A": "2"}}
    )
    stays = functions.get_function_configuration(FunctionName="ready")
    functions.create_function(
        FunctionName="new", Role=ROLE, Handler="app.handler", Runtime="provided.al2023",
        Code={"ZipFile": sandbox.client.zipped(RUNTIME)}, KMSKeyArn=key,
    )  # fmt: skip
    made = functions.get_function_configuration(FunctionName="new")

    assert (stays["LastUpdateStatus"], stays["LastUpdateStatusReasonCode"]) == (
        "Failed",
        "DisabledKMSKey",
    )
    assert stays["Environment"]["Variables"] == {"A": "1"}
    assert (made["State"], made["StateReasonCode"]) == ("Failed", "DisabledKMSKey")
    functions.update_function_configuration(FunctionName="new", MemorySize=256)
    assert functions.get_function_configuration(FunctionName="new")["State"] != "Failed"
