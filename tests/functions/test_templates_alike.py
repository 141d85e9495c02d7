"""Both templates make the same, in what no examination of a deployed one would tell apart.

`tests.doctor.test_templates` deploys both. Memory, retention, names and the like are compared here:
each argument with its property, by what it may stand for. A choice (`If`, `? :`) stands for what it
may choose. Permissions are compared in `test_templates`.
"""

import re
from collections.abc import Iterator
from typing import Any

from tests.functions.test_templates import Cloudformation, Terraform

# What Terraform calls each kind of resource, and those properties that it does not call alike.
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "AWS::Lambda::Function": ("aws_lambda_function", {}),
    "AWS::Lambda::Alias": ("aws_lambda_alias", {}),
    "AWS::Lambda::Url": (
        "aws_lambda_function_url",
        {"target_function_arn": "function_name", "auth_type": "authorization_type"},
    ),
    "AWS::Logs::LogGroup": ("aws_cloudwatch_log_group", {"log_group_name": "name"}),
    "AWS::ApiGateway::RestApi": ("aws_api_gateway_rest_api", {}),
    "AWS::ApiGateway::Resource": ("aws_api_gateway_resource", {}),
    "AWS::ApiGateway::Method": (
        "aws_api_gateway_method",
        {"authorization_type": "authorization", "integration.timeout_in_millis":
            "integration.timeout_milliseconds"},
    ),
    "AWS::ApiGateway::Deployment": ("aws_api_gateway_deployment", {}),
    "AWS::ApiGateway::Stage": ("aws_api_gateway_stage", {}),
    "AWS::ApiGatewayV2::Api": ("aws_apigatewayv2_api", {}),
    "AWS::ApiGatewayV2::Integration": ("aws_apigatewayv2_integration", {}),
    "AWS::ApiGatewayV2::Route": ("aws_apigatewayv2_route", {}),
    "AWS::ApiGatewayV2::Stage": ("aws_apigatewayv2_stage", {"stage_name": "name"}),
}  # fmt: skip
# They are compared by what they permit, or examined where they are deployed.
PERMISSIONS = {
    "AWS::IAM::Role", "AWS::IAM::RolePolicy", "AWS::Lambda::Permission", "AWS::S3::BucketPolicy",
}  # fmt: skip
# Terraform makes a version with the function, and an integration apart from its method.
VERSION = "AWS::Lambda::Version"
INTEGRATION = "aws_api_gateway_integration"
# One takes the zip file from a bucket and the other from here, and versions are made otherwise.
APART = {"code.s3_bucket", "code.s3_key", "filename", "source_code_hash", "publish"}
# How many there are, and in what order they are made.
META = {"count", "for_each", "lifecycle", "depends_on"}
FUNCTIONS = {"Ref", "Sub", "If", "GetAtt"}

# By resource and argument: what it may be.
Meaning = dict[str, dict[str, set[str]]]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


class OfCloudformation(Cloudformation):
    def meaning(self) -> Meaning:
        found: Meaning = {}
        for one in self._template["Resources"].values():
            if one["Type"] in PERMISSIONS | {VERSION}:
                continue
            kind, otherwise = KINDS[one["Type"]]
            for path, value in self.flat(one.get("Properties", {})):
                name = otherwise.get(path, path)
                of_kind = kind
                if name.startswith("integration."):
                    of_kind, name = INTEGRATION, name.removeprefix("integration.")
                if name not in APART:
                    found.setdefault(of_kind, {}).setdefault(name, set()).update(self.texts(value))
        return found

    def flat(self, value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
        for name, one in value.items():
            # Names of headers and of variables are as they are.
            own = before.endswith(("parameters.", "variables."))
            path = before + (name if own else snake(name))
            if isinstance(one, dict) and not one.keys() & FUNCTIONS:
                yield from self.flat(one, f"{path}.")
            else:
                yield path, one

    def texts(self, value: Any) -> set[str]:
        if isinstance(value, list):
            return {text for one in value for text in self.texts(one)}
        if not isinstance(value, dict):
            return {_plain(value)}
        ((function, told),) = value.items()
        if function == "If":
            return self.texts(told[1:])
        if function == "Sub":
            text = re.sub(r"\$\{(\w+)\}", lambda match: self.named(match[1]), told)
            # Terraform's files leave the store to Spillway: the value is given in any case.
            return set() if "resolve:secretsmanager" in text else {text}
        if told == "AWS::NoValue":
            return set()
        return {self.named(told.partition(".")[0])}

    def named(self, name: str) -> str:
        """A parameter or a resource, by what Terraform calls it."""
        if name not in self._template["Resources"]:
            return f"<{snake(name)}>"
        kind = self._template["Resources"][name]["Type"]
        if kind == VERSION:
            kind = "AWS::Lambda::Function"
        return f"<{'aws_iam_role' if kind == 'AWS::IAM::Role' else KINDS[kind][0]}>"


class OfTerraform(Terraform):
    def meaning(self) -> Meaning:
        found: Meaning = {}
        for (kind, _), body in self.named("resource").items():
            if kind in {one for one, _ in KINDS.values()} | {INTEGRATION}:
                arguments = found.setdefault(kind, {})
                for name, value in self.flat(body):
                    texts = self.texts(value, body)
                    if name not in APART and texts:
                        arguments.setdefault(name, set()).update(texts)
        return found

    def flat(self, value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
        for name, one in value.items():
            if name in META:
                continue
            block = one[0] if isinstance(one, list) and len(one) == 1 else one
            if name == "variables":
                merged = re.sub(r"local\.(\w+)", lambda match: self.locals[match[1]], one)
                for variable, text in re.findall(r"(\w+) = (\"[^\"]*\"|[\w.]+)", merged):
                    yield f"{before}variables.{variable}", f"${{{text}}}"
            elif isinstance(block, dict):
                yield from self.flat(block, f"{before}{name}.")
            else:
                yield before + name, one

    def texts(self, value: Any, body: dict[str, Any]) -> set[str]:
        if isinstance(value, list):
            return {text for one in value for text in self.texts(one, body)}
        whole = re.fullmatch(r"\$\{([^{}]*)\}", str(value))
        if whole:
            return self.expression(whole[1], body)

        def put(match: re.Match[str]) -> str:
            (text,) = self.expression(match[1], body)
            return text

        return {re.sub(r"\$\{([^{}]*)\}", put, _plain(value))}

    def expression(self, text: str, body: dict[str, Any]) -> set[str]:
        text = text.strip()
        # Which of several it is stands in brackets.
        bare = re.sub(r"(?<=\w)\[[^\]]*\]", "", text)
        if called := re.fullmatch(r"toset\((.*)\)", text):
            return self.expression(called[1], body)
        if choice := re.fullmatch(r"[^?]+ \? (.+) : (.+)", bare):
            return self.expression(choice[1], body) | self.expression(choice[2], body)
        if text.startswith("["):
            return {one.strip(' "') for one in text.strip("[]").split(",") if one.strip()}
        if text == "each.key":
            return self.texts(body["for_each"], body)
        if local := re.fullmatch(r"local\.(\w+)", text):
            return self.texts(self.locals[local[1]], body)
        if variable := re.fullmatch(r"var\.(\w+)", text):
            return {f"<{variable[1]}>"}
        if text == "null":
            return set()
        if resource := re.match(r"(aws_\w+)\.", bare):
            return {f"<{resource[1]}>"}
        return {text.strip('"')}


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def test_each_argument_stands_for_what_its_property_stands_for() -> None:
    cloudformation, terraform = OfCloudformation().meaning(), OfTerraform().meaning()

    # The method that it is of, which the other template has it within.
    for name in ("rest_api_id", "resource_id"):
        assert terraform[INTEGRATION].pop(name) == terraform["aws_api_gateway_method"][name]
    assert terraform[INTEGRATION].pop("http_method") == {"<aws_api_gateway_method>"}
    # One URL takes turns with two, and says by its alias which it is.
    qualifiers = terraform["aws_lambda_function_url"].pop("qualifier")
    assert qualifiers == {"<aws_lambda_alias>"}
    assert cloudformation["aws_lambda_function_url"].pop("qualifier") == {"blue", "green"}
    assert terraform == cloudformation


def test_both_templates_have_the_same_kinds_of_resources() -> None:
    terraform = {kind for kind, _ in OfTerraform().named("resource")}
    permissions = {
        "aws_iam_role", "aws_iam_role_policy", "aws_lambda_permission", "aws_s3_bucket_policy",
    }  # fmt: skip

    assert terraform - permissions == {kind for kind, _ in KINDS.values()} | {INTEGRATION}
    assert OfCloudformation().meaning().keys() == terraform - permissions
