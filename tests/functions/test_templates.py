"""The templates for CloudFormation and Terraform: each is sound, and both say the same."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from streams.registry.parse import parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "functions" / "templates"
CLOUDFORMATION = TEMPLATES / "cloudformation.yaml"
ROTATION = ROOT / "docs" / "rotation.md"

PERMISSIONS = {
    ("lambda:InvokeFunctionUrl", "*", "url auth NONE"),
    ("lambda:InvokeFunction", "*", "via url"),
}


class Cloudformation:
    """What cloudformation.yaml says; its functions (`!Sub x`) are `{"Sub": x}`."""

    def __init__(self) -> None:
        self._template: Any = yaml.load(CLOUDFORMATION.read_text(), _Tagged)

    def outputs(self) -> list[str]:
        return list(self._template["Outputs"])

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        resources = self._template["Resources"].values()
        return [one["Properties"] for one in resources if one["Type"] == kind]

    def permissions(self) -> dict[str, set[tuple[str, str, str]]]:
        """Those of each function or alias that has a URL."""
        found: dict[str, set[tuple[str, str, str]]] = {}
        for one in self.of_type("AWS::Lambda::Permission"):
            how = "via url" if one.get("InvokedViaFunctionUrl") is True else ""
            how += f"url auth {one['FunctionUrlAuthType']}" if "FunctionUrlAuthType" in one else ""
            statement = (one["Action"], one["Principal"], how)
            found.setdefault(str(one["FunctionName"]), set()).add(statement)
        return found

    def invoke_modes(self) -> list[str]:
        return [one["InvokeMode"] for one in self.of_type("AWS::Lambda::Url")]

    def rest_values(self) -> list[str]:
        (method,) = self.of_type("AWS::ApiGateway::Method")
        integration = method["Integration"]
        assert integration["Type"] == "HTTP_PROXY"
        mapped = integration["RequestParameters"]["integration.request.header.x-secret-header"]
        return list(_leaves(mapped["If"][1:]))

    def http_values(self) -> list[str]:
        (integration,) = self.of_type("AWS::ApiGatewayV2::Integration")
        assert integration["IntegrationType"] == "HTTP_PROXY"
        mapped = integration["RequestParameters"]["overwrite:header.x-secret-header"]
        return list(_leaves(mapped["If"][1:]))

    def secret_is_hidden(self) -> bool:
        return self._template["Parameters"]["SecretValue"]["NoEcho"] is True

    def statements(self, who: str) -> dict[str, tuple[set[str], list[Any]]]:
        """Actions and resources of each statement of `web`, `worker`, `function` or `bucket`."""
        if who == "bucket":
            (policy,) = self.of_type("AWS::S3::BucketPolicy")
            return _by_sid(policy["PolicyDocument"]["Statement"])
        role = f"{who.capitalize()}Role"
        policies = list(self._template["Resources"][role]["Properties"]["Policies"])
        policies += [
            one for one in self.of_type("AWS::IAM::RolePolicy") if one["RoleName"] == {"Ref": role}
        ]
        return _by_sid(one for policy in policies for one in policy["PolicyDocument"]["Statement"])


class Terraform:
    """What the files of terraform/ say together; expressions stay text, `${…}`."""

    def __init__(self) -> None:
        self.blocks: dict[str, list[Any]] = {}
        for file in sorted((TEMPLATES / "terraform").glob("*.tf")):
            for kind, found in _unquoted(hcl2.loads(file.read_text())).items():
                self.blocks.setdefault(kind, []).extend(found if isinstance(found, list) else [])
        self.locals: dict[str, Any] = {}
        for block in self.blocks["locals"]:
            self.locals |= block

    def named(self, kind: str) -> dict[tuple[str, str], dict[str, Any]]:
        """All `resource` or `data` blocks by type and name."""
        return {
            (of_type, name): body
            for block in self.blocks[kind]
            for of_type, by_name in block.items()
            for name, body in by_name.items()
        }

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        named = self.named("resource").items()
        return [body for (of_type, _), body in named if of_type == kind]

    def permissions(self) -> dict[str, set[tuple[str, str, str]]]:
        found = set()
        for one in self.of_type("aws_lambda_permission"):
            assert one["for_each"] == "${local.open_urls}"
            how = "via url" if one.get("invoked_via_function_url") is True else ""
            kind = one.get("function_url_auth_type")
            how += f"url auth {kind}" if kind else ""
            found.add((one["action"], one["principal"], how))
        return {"each URL": found}

    def invoke_modes(self) -> list[str]:
        return [one["invoke_mode"] for one in self.of_type("aws_lambda_function_url")]

    def rest_values(self) -> list[str]:
        (integration,) = self.of_type("aws_api_gateway_integration")
        assert integration["type"] == "HTTP_PROXY"
        return [
            integration["request_parameters"]["integration.request.header.x-secret-header"],
        ]

    def http_values(self) -> list[str]:
        (integration,) = self.of_type("aws_apigatewayv2_integration")
        assert integration["integration_type"] == "HTTP_PROXY"
        return [integration["request_parameters"]["overwrite:header.x-secret-header"]]

    def secret_is_hidden(self) -> bool:
        (variable,) = (
            one["secret_value"] for one in self.blocks["variable"] if "secret_value" in one
        )
        return variable["sensitive"] is True

    def statements(self, who: str) -> dict[str, tuple[set[str], list[Any]]]:
        document = self.named("data")["aws_iam_policy_document", who]
        statements = list(document["statement"])
        for dynamic in document.get("dynamic", []):
            statements += dynamic["statement"]["content"]
        return {one["sid"]: (set(one["actions"]), _listed(one["resources"])) for one in statements}

    def resolved(self, text: str) -> str:
        """`text` with the locals it names, where these are texts or conditions of one."""

        def put(match: re.Match[str]) -> str:
            value = str(self.locals[match[1]])
            chosen = re.fullmatch(r'\$\{[^?]+ \? "(.*)" : ""\}', value)
            return self.resolved(chosen[1] if chosen else value)

        return re.sub(r"\$\{local\.(\w+)\}", put, text)


class _Tagged(yaml.SafeLoader):
    """Reads CloudFormation's short forms."""


def _short_form(loader: _Tagged, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


_Tagged.add_multi_constructor("!", _short_form)


def _unquoted(value: Any) -> Any:
    """What hcl2 read, without the quotes and marks that it keeps of the source."""
    if isinstance(value, dict):
        return {
            key.strip('"'): _unquoted(one) for key, one in value.items() if not key.startswith("__")
        }
    if isinstance(value, list):
        return [_unquoted(one) for one in value]
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            # A reference stands for the parameter's whole value.
            yield from [f"${{{one}}}"] if name == "Ref" else _leaves(one)
    else:
        for one in value:
            yield from _leaves(one)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _by_sid(statements: Any) -> dict[str, tuple[set[str], list[Any]]]:
    return {
        one["Sid"]: (set(_listed(one["Action"])), _listed(one["Resource"])) for one in statements
    }


def actions(statements: Mapping[str, tuple[set[str], list[Any]]]) -> set[str]:
    return {action for given, _ in statements.values() for action in given}


BOTH = pytest.mark.parametrize("template", [Cloudformation(), Terraform()], ids=["cfn", "tf"])


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("cfn-lint")
    command = [str(program), "--include-checks", "I", "--", str(file)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)


def test_cfn_lint_finds_nothing() -> None:
    ended = lint(CLOUDFORMATION)

    assert (ended.returncode, ended.stdout) == (0, "")


@pytest.mark.slow
def test_cfn_lint_would_find_a_mistake(tmp_path: Path) -> None:
    mistakes = [
        # What stands there, what is put in its place, and what is said of it.
        ("InvokedViaFunctionUrl: true", "InvokedByUrl: true", "'InvokedByUrl' was unexpected"),
        ("InvokeMode: RESPONSE_STREAM", "InvokeMode: STREAM", "'STREAM' is not one of"),
        ("TransferMode: STREAM", "TransferMode: WHOLE", "'WHOLE' is not one of"),
        ("Ref RestResource", "Ref RestPath", "'RestPath' is not one of"),
        ("lambda:GetPolicy", "lambda:ReadPolicy", "'readpolicy' is not one of"),
    ]
    text = CLOUDFORMATION.read_text()
    for right, wrong, _ in mistakes:
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / "template.yaml").write_text(text)

    said = lint(tmp_path / "template.yaml").stdout

    assert [complaint for _, _, complaint in mistakes if complaint not in said] == [], said


def test_what_terraform_refers_to_is_there() -> None:
    terraform = Terraform()
    text = "\n".join(
        re.sub(r"(?m)^\s*#.*$", "", file.read_text())
        for file in sorted((TEMPLATES / "terraform").glob("*.tf"))
    )
    variables = {name for block in terraform.blocks["variable"] for name in block}

    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    assert set(re.findall(r"\blocal\.(\w+)", text)) == set(terraform.locals)
    data = set(re.findall(r"\bdata\.(aws_\w+)\.(\w+)", text))
    assert data == set(terraform.named("data"))
    resources = set(re.findall(r"(?<!data\.)\b(aws_\w+)\.(\w+)", text))
    assert resources <= set(terraform.named("resource"))


@BOTH
def test_every_url_streams_and_has_both_permissions(template: Cloudformation | Terraform) -> None:
    assert set(template.invoke_modes()) == {"RESPONSE_STREAM"}
    for permissions in template.permissions().values():
        assert permissions == PERMISSIONS


def test_each_of_three_urls_of_cloudformation_has_its_own_permissions() -> None:
    template = Cloudformation()

    assert len(template.permissions()) == len(template.invoke_modes()) == 3


@BOTH
def test_the_value_is_quoted_in_a_rest_api_and_raw_in_an_http_api(
    template: Cloudformation | Terraform,
) -> None:
    for value in template.rest_values():
        assert re.fullmatch(r"'\$?\{.+\}'", value), value
    for value in template.http_values():
        assert re.fullmatch(r"\$?\{.+\}", value), value


@BOTH
def test_the_value_is_hidden(template: Cloudformation | Terraform) -> None:
    assert template.secret_is_hidden()


# The templates expect a secret that exists, under AWS's own key.
NOT_NEEDED_HERE = {"secretsmanager:CreateSecret", "kms:Decrypt", "kms:GenerateDataKey"}


def documented() -> set[str]:
    """The actions that docs/rotation.md names; a name without a service is of the one before."""
    section = ROTATION.read_text().split("## What it needs from AWS")[1].split("\n## ")[0]
    found, service = set(), ""
    for one, name in re.findall(r"`(?:([a-z]+):)?([A-Z][A-Za-z]+)`", section):
        service = one or service
        found.add(f"{service}:{name}")
    return found


@BOTH
def test_the_worker_may_do_what_the_documentation_says_and_nothing_else(
    template: Cloudformation | Terraform,
) -> None:
    assert actions(template.statements("worker")) == documented() - NOT_NEEDED_HERE


@pytest.mark.parametrize("who", ["function", "web", "worker", "bucket"])
def test_both_templates_give_the_same_permissions(who: str) -> None:
    cloudformation, terraform = (one.statements(who) for one in (Cloudformation(), Terraform()))

    assert {sid: given for sid, (given, _) in cloudformation.items()} == {
        sid: given for sid, (given, _) in terraform.items()
    }


@BOTH
@pytest.mark.parametrize("who", ["function", "web", "worker"])
def test_each_permission_is_for_what_this_stack_has(
    template: Cloudformation | Terraform, who: str
) -> None:
    for given, resources in template.statements(who).values():
        assert not any("*" in action for action in given)
        # Each names a part of this stack, or a parameter of it.
        assert all(re.search(r"\$\{|GetAtt|Ref", str(one)) for one in resources), resources


@BOTH
def test_the_web_process_may_call_and_read_and_nothing_else(
    template: Cloudformation | Terraform,
) -> None:
    assert actions(template.statements("web")) == {
        "lambda:InvokeFunctionUrl",
        "lambda:InvokeFunction",
        "s3:GetObject",
        "s3:ListBucket",
    }


def test_both_templates_name_the_same_parts_of_the_gateways() -> None:
    cloudformation, terraform = Cloudformation(), Terraform()
    other = terraform.statements("worker")
    for sid, (given, resources) in cloudformation.statements("worker").items():
        if not any(action.startswith("apigateway:") for action in given):
            continue
        ours = {re.sub(r"\$\{[^}]+\}", "*", one["Sub"]) for one in resources}
        theirs = {re.sub(r"\$\{[^}]+\}", "*", terraform.resolved(one)) for one in other[sid][1]}
        assert ours == theirs
        assert all(one.startswith("arn:*:apigateway:*::/") for one in ours)


def test_terraform_does_not_put_back_what_a_rotation_changed() -> None:
    terraform = Terraform()
    ignored = {
        key: {
            str(one).removeprefix("${").removesuffix("}")
            for block in body.get("lifecycle", [])
            for one in block.get("ignore_changes", [])
        }
        for (key, _), body in terraform.named("resource").items()
    }

    assert ignored["aws_lambda_function"] == {
        'environment[0].variables["SECRET_HEADER"]',
        'environment[0].variables["SECRET_HEADER_NEXT"]',
    }
    assert ignored["aws_lambda_alias"] == {"function_version"}
    assert ignored["aws_api_gateway_integration"] == {"request_parameters", "uri"}
    assert ignored["aws_api_gateway_stage"] == {"deployment_id"}
    assert ignored["aws_apigatewayv2_integration"] == {"request_parameters", "integration_uri"}


def test_the_registry_of_the_readme_can_be_read() -> None:
    (sample,) = re.findall(r"```yaml\n(.*?)```", (TEMPLATES / "README.md").read_text(), re.DOTALL)

    spec = parse(sample)

    (secret,) = spec.secrets
    assert [gateway.type for gateway in secret.gateways] == ["rest", "http"]
    assert [endpoint.secret for endpoint in spec.endpoints] == ["orders"]


def test_the_readme_names_what_the_stack_puts_out() -> None:
    text = (TEMPLATES / "README.md").read_text()
    named = set(re.findall(r" # ([A-Z]\w+(?:Arn|Url|Id))$", text, re.MULTILINE))

    # What an endpoint that is called without the secret would need besides.
    assert named | {"WebRoleArn"} == set(Cloudformation().outputs())
