"""One fault at a time in the stand-in for AWS: exactly its finding appears."""

import io
import zipfile
from collections.abc import Callable

import pytest

from sandbox.client import ROLE, zipped
from streams.models import Endpoint, SecretFunction
from tests.doctor import commands
from tests.doctor.conftest import HANDLER, OTHERS, Clinic, check_terraform

OTHER = "other-" + "o" * 32

# A handler that lets in who it should not, by what it looks at.
NAIVE = """
import os
from app import export
from spillway_lambda.invocation import headers
from spillway_lambda.streaming import HttpError

def handler(event, context):
    sent = headers(event).get("x-secret-header")
    if {condition}:
        return export(event, context)
    return HttpError(403, "forbidden", "No.").response()
"""


def _function_is_gone(clinic: Clinic) -> None:
    clinic.functions.delete_function(FunctionName=clinic.name)


def _function_was_made_with_a_disabled_key(clinic: Clinic) -> None:
    clinic.functions.delete_function(FunctionName=clinic.name)
    clinic.functions.create_function(
        FunctionName=clinic.name, Code={"ZipFile": zipped(HANDLER)}, Handler="app.handler",
        Role=ROLE, Runtime="provided.al2023", KMSKeyArn=disabled_key(clinic),
        Environment={"Variables": {**OTHERS, "SECRET_HEADER": clinic.value}},
    )  # fmt: skip
    clinic.aws.open_to_everyone(clinic.name)
    Endpoint.objects.update(url=clinic.aws.function_url(clinic.name))


def _update_fails(clinic: Clinic) -> None:
    clinic.functions.update_function_configuration(
        FunctionName=clinic.name, KMSKeyArn=disabled_key(clinic)
    )


def disabled_key(clinic: Clinic) -> str:
    kms = clinic.aws.client("kms")
    key = str(kms.create_key()["KeyMetadata"]["Arn"])
    kms.disable_key(KeyId=key)
    return key


def _url_is_gone(clinic: Clinic) -> None:
    clinic.functions.delete_function_url_config(FunctionName=clinic.name)


def _url_is_another(clinic: Clinic) -> None:
    other = clinic.aws.deploy_function(
        f"{clinic.name}-2", HANDLER, "app.handler",
        {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "SECRET_HEADER": clinic.value},
    )  # fmt: skip
    Endpoint.objects.update(url=other)


def _url_buffers(clinic: Clinic) -> None:
    clinic.aws.function_url(clinic.name, invoke_mode="BUFFERED")


def _url_wants_a_signature(clinic: Clinic) -> None:
    clinic.aws.function_url(clinic.name, url_auth="AWS_IAM")


def _first_statement_is_gone(clinic: Clinic) -> None:
    clinic.functions.remove_permission(FunctionName=clinic.name, StatementId="public-url")


def _second_statement_is_gone(clinic: Clinic) -> None:
    clinic.functions.remove_permission(FunctionName=clinic.name, StatementId="public-invoke")


def _statement_is_not_on_the_alias(clinic: Clinic) -> None:
    _alias(clinic)
    clinic.functions.remove_permission(
        FunctionName=clinic.name, Qualifier="live", StatementId="public-url-live"
    )


def _everybody_may_invoke(clinic: Clinic) -> None:
    clinic.functions.add_permission(
        FunctionName=clinic.name, StatementId="open", Action="lambda:InvokeFunction", Principal="*"
    )


def _function_is_in_a_vpc(clinic: Clinic) -> None:
    subnet = clinic.aws.client("ec2").describe_subnets()["Subnets"][0]["SubnetId"]
    clinic.functions.update_function_configuration(
        FunctionName=clinic.name, VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": ["sg-1"]}
    )


def _variable_is_unset(clinic: Clinic) -> None:
    clinic.set_variables(SECRET_HEADER="")


def _variable_differs(clinic: Clinic) -> None:
    clinic.set_variables(SECRET_HEADER=OTHER)


def _next_is_left_over(clinic: Clinic) -> None:
    clinic.set_variables(SECRET_HEADER_NEXT=OTHER)


def _alias_is_missing(clinic: Clinic) -> None:
    SecretFunction.objects.update(alias="live")


def _alias_has_weights(clinic: Clinic) -> None:
    _alias(clinic)
    clinic.set_variables(LOG_LEVEL="debug")
    clinic.functions.publish_version(FunctionName=clinic.name)
    clinic.functions.update_alias(
        FunctionName=clinic.name, Name="live",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
    )  # fmt: skip


def _alias(clinic: Clinic) -> None:
    clinic.functions.publish_version(FunctionName=clinic.name)
    clinic.functions.create_alias(FunctionName=clinic.name, Name="live", FunctionVersion="1")
    url = clinic.aws.function_url(clinic.name, qualifier="live")
    clinic.aws.open_to_everyone(clinic.name, qualifier="live")
    SecretFunction.objects.update(alias="live")
    Endpoint.objects.update(url=url)


def _packed(handler: str) -> bytes:
    """The handler's folder with one more module."""
    packed = io.BytesIO(zipped(HANDLER))
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("naive.py", handler)
    return packed.getvalue()


def _handler_looks_at(condition: str) -> Callable[[Clinic], None]:
    def break_it(clinic: Clinic) -> None:
        packed = _packed(NAIVE.format(condition=condition))
        clinic.functions.update_function_code(FunctionName=clinic.name, ZipFile=packed)
        clinic.functions.update_function_configuration(
            FunctionName=clinic.name, Handler="naive.handler"
        )

    return break_it


def _handler_reads_another_variable(clinic: Clinic) -> None:
    SecretFunction.objects.all().delete()
    _variable_differs(clinic)


def _secret_has_no_value(clinic: Clinic) -> None:
    clinic.secret.versions.all().delete()


def _endpoint_is_forbidden(clinic: Clinic) -> None:
    Endpoint.objects.create(slug="inner", title="Inner", kind="http", url="http://10.0.0.1/")


def _alias_is_behind(clinic: Clinic) -> None:
    _alias(clinic)
    clinic.set_variables(LOG_LEVEL="debug")


def _deployed_open(clinic: Clinic) -> str:
    """The URL of a function that checks nothing."""
    packed = _packed(NAIVE.format(condition="True"))
    return clinic.aws.deploy_function(f"{clinic.name}-2", packed, "naive.handler", OTHERS)


def _url_is_for_everybody(clinic: Clinic) -> None:
    url = _deployed_open(clinic)
    Endpoint.objects.create(slug="open", title="Open", kind="function-url", url=url)


def _url_of_an_invoked_function_is_for_everybody(clinic: Clinic) -> None:
    _deployed_open(clinic)
    Endpoint.objects.create(
        slug="open", title="Open", kind="lambda", auth="sigv4", region=clinic.aws.region,
        function=f"{clinic.name}-2",
    )  # fmt: skip


def _time_is_short(clinic: Clinic) -> None:
    clinic.export(11 << 20)
    clinic.functions.update_function_configuration(FunctionName=clinic.name, Timeout=1)


FAULTS: list[tuple[str, Callable[[Clinic], None], int]] = [
    ("function-missing", _function_is_gone, 1),
    ("function-not-active", _function_was_made_with_a_disabled_key, 1),
    ("function-update-failed", _update_fails, 1),
    ("alias-missing", _alias_is_missing, 1),
    ("function-in-vpc", _function_is_in_a_vpc, 1),
    ("url-missing", _url_is_gone, 1),
    ("url-differs", _url_is_another, 1),
    ("url-buffered", _url_buffers, 1),
    ("url-auth", _url_wants_a_signature, 1),
    ("permission-url", _first_statement_is_gone, 1),
    ("permission-url", _statement_is_not_on_the_alias, 1),
    ("permission-invoke", _second_statement_is_gone, 1),
    ("invoke-open", _everybody_may_invoke, 1),
    ("environment-unset", _variable_is_unset, 1),
    ("environment-differs", _variable_differs, 1),
    ("environment-next", _next_is_left_over, 0),
    ("alias-weighted", _alias_has_weights, 0),
    ("alias-behind", _alias_is_behind, 0),
    ("open-without-header", _handler_looks_at("True"), 1),
    (
        "open-with-empty-header",
        _handler_looks_at("sent == '' or sent == os.environ['SECRET_HEADER']"),
        1,
    ),
    ("open-with-wrong-header", _handler_looks_at("sent"), 1),
    ("secret-without-value", _secret_has_no_value, 1),
    ("secret-refused", _handler_reads_another_variable, 1),
    ("does-not-open", _endpoint_is_forbidden, 1),
    ("function-timeout", _time_is_short, 0),
    ("export-public", _url_of_an_invoked_function_is_for_everybody, 0),
]


@pytest.mark.parametrize(("identity", "break_it", "status"), FAULTS)
def test_exactly_that_fault_is_found(
    clinic: Clinic, identity: str, break_it: Callable[[Clinic], None], status: int
) -> None:
    break_it(clinic)

    told = clinic.run()

    assert [finding["id"] for finding in told["findings"]] == [identity]
    assert clinic.status == status
    check_terraform(identity, told["findings"][0]["terraform"])
    commands.check(identity, told["findings"][0]["cli"])
    assert all(told["findings"][0][part] for part in ("sentence", "consequence", "fix"))
    assert OTHER not in clinic.told


def test_with_its_key_enabled_a_function_that_failed_is_well(clinic: Clinic) -> None:
    _function_was_made_with_a_disabled_key(clinic)
    (finding,) = clinic.run()["findings"]
    assert finding["evidence"] == ["StateReasonCode: DisabledKMSKey"]
    assert "--query '[State, StateReasonCode, StateReason]'" in finding["cli"][0]
    key = clinic.functions.get_function_configuration(FunctionName=clinic.name)["KMSKeyArn"]

    clinic.aws.client("kms").enable_key(KeyId=key)
    clinic.functions.update_function_configuration(FunctionName=clinic.name, KMSKeyArn=key)

    assert clinic.run()["findings"] == []


def test_an_open_url_is_worth_knowing_and_its_function_cannot_be_looked_up(clinic: Clinic) -> None:
    _url_is_for_everybody(clinic)

    told = clinic.run("open")

    assert [finding["id"] for finding in told["findings"]] == ["export-public"]
    unseen = {
        one["id"] for one in told["skipped"] if "which function a URL belongs" in one["reason"]
    }
    assert {"function-missing", "function-in-vpc", "url-buffered", "permission-url"} <= unseen


def test_a_url_that_checks_its_secret_is_not_open_although_it_is_invoked_directly(
    clinic: Clinic,
) -> None:
    Endpoint.objects.create(
        slug="direct", title="Direct", kind="lambda", auth="sigv4", region=clinic.aws.region,
        function=clinic.name,
    )  # fmt: skip

    told = clinic.run("direct")

    assert "export-public" not in {one["id"] for one in told["findings"]}


def test_a_version_is_no_alias_that_is_missing(clinic: Clinic) -> None:
    clinic.functions.publish_version(FunctionName=clinic.name)
    clinic.functions.delete_function_url_config(FunctionName=clinic.name)
    clinic.set_variables(SECRET_HEADER="")
    Endpoint.objects.all().delete()
    SecretFunction.objects.all().delete()
    Endpoint.objects.create(
        slug="pinned", title="Pinned", kind="lambda", region=clinic.aws.region,
        auth="sigv4", function=f"{clinic.name}:1", secret=clinic.secret,
    )  # fmt: skip

    assert clinic.run()["findings"] == []
