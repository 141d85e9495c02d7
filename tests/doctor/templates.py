"""Each template of `functions/`, deployed in the sandbox and registered as its README says."""

import io
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.core.management import call_command

from sandbox.client import Sandbox
from sandbox.settings import ACCOUNT
from tests.doctor.conftest import OTHERS, ROOT, allowing
from tests.functions.terraform.configuration import Configuration, Stack, files
from tests.functions.terraform.provider import Provider

CLOUDFORMATION = ROOT / "functions" / "templates" / "cloudformation.yaml"
PRINCIPAL = f"arn:aws:iam::{ACCOUNT}:root"

# By their names in Terraform, of both templates.
Choices = Mapping[str, Any]
Outputs = dict[str, Any]


@dataclass
class Site:
    """What is to be deployed. `choices` are variables that differ from their defaults."""

    aws: Sandbox
    folder: Path
    code: bytes
    choices: Choices

    def __post_init__(self) -> None:
        self.name = f"export-{secrets.token_hex(4)}"
        self.value = secrets.token_urlsafe(32)

    def variables(self) -> dict[str, Any]:
        return {
            "function_name": self.name, "language": "python",
            "export_bucket": OTHERS["EXPORT_BUCKET"], "export_key": OTHERS["EXPORT_KEY"],
            "secret_value": self.value, "web_principal_arn": PRINCIPAL,
            "worker_principal_arn": PRINCIPAL, **self.choices,
        }  # fmt: skip

    def register(self, outputs: Outputs) -> list[str]:
        """The slugs of the endpoints, each of which is the export."""
        # What docs/doctor.md asks for besides, so that the roles themselves are judged.
        simulates = (("iam:SimulatePrincipalPolicy", "*"), ("iam:GetRole", "*"))
        self.allow(outputs["web_role_arn"], "besides", *simulates)
        # The emulator takes GetAlias and UpdateAlias for ListAliases, and the policy of an alias
        # for that of its function. That the role may do what it should is simulated.
        of_alias = (("lambda:ListAliases", "*"), ("lambda:GetPolicy", outputs["function_arn"]))
        pair = of_alias if "alias_pair" in self.choices else ()
        self.allow(outputs["worker_role_arn"], "besides", *simulates, *pair)
        told = self._registry(outputs)
        file = self.folder / "registry.yaml"
        file.write_text(yaml.safe_dump({"version": 1, **told}))
        (self.folder / "value").write_text(self.value)
        call_command("apply", str(file), stdout=io.StringIO())
        return [one["slug"] for one in told["endpoints"]]

    def allow(self, role: str, name: str, *statements: tuple[str, str]) -> None:
        self.aws.client("iam").put_role_policy(
            RoleName=role.rpartition("/")[2], PolicyName=name,
            PolicyDocument=allowing(*statements),
        )  # fmt: skip

    def _registry(self, outputs: Outputs) -> dict[str, Any]:
        web = {"region": self.aws.region, "role_arn": outputs["web_role_arn"]}
        invoked = {"kind": "lambda", "function": outputs["function_arn"], **web}
        endpoints: dict[str, Any] = {
            "object": {"kind": "s3", "bucket": "exports", "key": "orders.csv", **web},
        }
        called = {"kind": "function-url", "url": outputs["function_url"]}
        if self.choices.get("url_auth") == "AWS_IAM":
            endpoints |= {"signed": {**called, "auth": "sigv4", **web}, "invoked": invoked}
            return {"endpoints": _titled(endpoints)}
        endpoints["orders"] = {**called, "auth": "secret-header", "secret": "orders"}
        # With a pair, its code is at another value than the one that serves.
        if "alias_pair" not in self.choices:
            endpoints["invoked"] = {**invoked, "secret": "orders"}
        secret = self._secret(outputs)
        for one in secret["gateways"]:
            endpoints[f"through-{one['type']}"] = {"kind": "gateway", "url": one["url"]}
        return {"secrets": [secret], "endpoints": _titled(endpoints)}

    def _secret(self, outputs: Outputs) -> dict[str, Any]:
        worker = {"region": self.aws.region, "role_arn": outputs["worker_role_arn"]}
        accepts: dict[str, Any] = {"accepts": "two"}
        if "alias_pair" in self.choices:
            accepts = {"accepts": "one", "aliases": ["blue", "green"]}
        gateways = [
            {"type": kind, **outputs[f"{kind}_api"], **more, **worker}
            for kind, more in (("rest", {"method": "GET"}), ("http", {}))
            if outputs[f"{kind}_api"]
        ]
        held: dict[str, Any] = {"value_from_file": str(self.folder / "value")}
        if "secret_id" in self.choices:
            place = {"id": self.choices["secret_id"]}
            held = {"store": "secrets-manager", "secrets_manager": place}
        function = {"name": outputs["function_arn"], **accepts, **worker}
        return {"name": "orders", "function": function, "gateways": gateways, **held}


def _titled(endpoints: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"slug": slug, "title": "Orders", "groups": "*"} | one for slug, one in endpoints.items()
    ]


def terraform(site: Site) -> Outputs:
    return stacked(site, Configuration(files())).outputs


def stacked(site: Site, configuration: Configuration) -> Stack:
    zip_file = site.folder / "export.zip"
    zip_file.write_bytes(site.code)
    return configuration.apply(Provider(site.aws), zip_file=str(zip_file), **site.variables())


def cloudformation(site: Site) -> Outputs:
    site.aws.put_object("deployments", f"{site.name}.zip", site.code)
    given = site.variables() | {"code_bucket": "deployments", "code_key": f"{site.name}.zip"}
    if "secret_id" in given:
        del given["secret_value"]
    stacks = site.aws.client("cloudformation")
    stacks.create_stack(
        StackName=site.name, TemplateBody=_template(), Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": _camel(name), "ParameterValue": "yes" if held is True else held}
            for name, held in given.items()
        ],
    )  # fmt: skip
    stacks.get_waiter("stack_create_complete").wait(
        StackName=site.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    (stack,) = stacks.describe_stacks(StackName=site.name)["Stacks"]
    told = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    return _as_terraform(site, told)


def _template() -> str:
    # The emulator does not know the newer type of the two that give a role a policy.
    text = CLOUDFORMATION.read_text().replace(
        "Type: AWS::IAM::RolePolicy", "Type: AWS::IAM::Policy"
    )
    # And it is reached without TLS, which the bucket's policy forbids.
    text = re.sub(r" +- Sid: OnlyByTls\n.*?SecureTransport[^\n]*\n", "", text, flags=re.DOTALL)
    return re.sub(r"RoleName: (!Ref \w+)", r"Roles: [\1]", text)


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _as_terraform(site: Site, told: Mapping[str, str]) -> Outputs:
    """Its outputs, with addresses under which the sandbox serves what they name."""
    pair = {"Qualifier": "blue"} if "alias_pair" in site.choices else {}
    url = site.aws.client("lambda").get_function_url_config(FunctionName=site.name, **pair)
    outputs: Outputs = {
        "function_arn": told["FunctionArn"], "function_url": url["FunctionUrl"],
        "web_role_arn": told["WebRoleArn"], "worker_role_arn": told["WorkerRoleArn"],
        "rest_api": None, "http_api": None,
    }  # fmt: skip
    if "RestApiId" in told:
        _streams(site.aws, told)
        outputs["rest_api"] = {
            "api_id": told["RestApiId"], "resource_id": told["RestResourceId"], "stage": "prod",
            "url": f"{site.aws.url}/_rest/{told['RestApiId']}/prod/export",
        }  # fmt: skip
    if "HttpApiId" in told:
        outputs["http_api"] = {
            "api_id": told["HttpApiId"], "integration_id": told["HttpIntegrationId"],
            "stage": "$default", "url": f"{site.aws.url}/_http/{told['HttpApiId']}/export",
        }  # fmt: skip
    return outputs


def _streams(aws: Sandbox, told: Mapping[str, str]) -> None:
    """The emulator's CloudFormation leaves ResponseTransferMode out."""
    apis = aws.client("apigateway")
    apis.update_integration(
        restApiId=told["RestApiId"], resourceId=told["RestResourceId"], httpMethod="GET",
        patchOperations=[{"op": "replace", "path": "/responseTransferMode", "value": "STREAM"}],
    )  # fmt: skip
    apis.create_deployment(restApiId=told["RestApiId"], stageName="prod")


DEPLOYED: dict[str, Callable[[Site], Outputs]] = {
    "cloudformation": cloudformation,
    "terraform": terraform,
}
