"""The templates for CloudFormation and Terraform: each is sound, and both say the same."""

import re
import subprocess
import sys
from collections.abc import Mapping
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


class Cloudformation:
    """What cloudformation.yaml says; its functions (`!Sub x`) are `{"Sub": x}`."""

    def __init__(self) -> None:
        self._template: Any = yaml.load(CLOUDFORMATION.read_text(), _Tagged)

    def outputs(self) -> list[str]:
        return list(self._template["Outputs"])

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        resources = self._template["Resources"].values()
        return [one["Properties"] for one in resources if one["Type"] == kind]

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


@BOTH
def test_the_worker_may_see_when_a_stage_was_deployed(
    template: Cloudformation | Terraform,
) -> None:
    for sid in ("ReadTheRestApi", "ReadTheHttpApi"):
        given, resources = template.statements("worker")[sid]

        assert "apigateway:GET" in given
        assert any("/deployments/*" in str(one) for one in resources), sid


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


def test_the_registry_of_the_readme_can_be_read() -> None:
    samples = re.findall(r"```yaml\n(.*?)```", (TEMPLATES / "README.md").read_text(), re.DOTALL)

    guarded, signed = (parse(sample) for sample in samples)

    (secret,) = guarded.secrets
    assert [gateway.type for gateway in secret.gateways] == ["rest", "http"]
    assert [endpoint.secret for endpoint in guarded.endpoints] == ["orders"]
    assert [endpoint.auth for endpoint in signed.endpoints] == ["sigv4"]


def test_the_readme_names_what_the_stack_puts_out() -> None:
    text = (TEMPLATES / "README.md").read_text()
    named = set(re.findall(r" # ([A-Z]\w+(?:Arn|Url|Id))$", text, re.MULTILINE))

    assert named == set(Cloudformation().outputs())
