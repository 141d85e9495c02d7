"""A deployed function with two gateways, and a portal beside it that rotates its secret."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import groupby
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

import sandbox
from sandbox.client import Gateway, Sandbox
from tests.functional.conftest import migrated_database
from tests.functional.test_rotation import answer_of
from tests.rotation.driven import ended, started
from tests.rotation.proxy import Call, Proxy

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "functions" / "python"
HEADER = "x-secret-header"
OTHERS = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv", "LOG_LEVEL": "info"}
TENANT = {"tenant": "blue"}
REGISTRY = """
version: 1
secrets:
  - name: orders
    value_from_env: ORDERS
    function: {{name: {name}, region: {region}{alias}}}
    {more}
    gateways:
      - {{type: rest, region: eu-west-1, api_id: "{rest.api_id}", resource_id: "{rest.resource_id}", method: GET, stage: prod, url: "{rest.url}"}}
      - {{type: http, region: eu-west-2, api_id: "{http.api_id}", integration_id: "{http.integration_id}", stage: $default, url: "{http.url}"}}
"""  # noqa: E501


class Kind(StrEnum):
    """What is rotated."""

    PLAIN = "plain"
    # Behind an alias, with gateways that take the value from variables.
    RELEASED = "released"
    # Two aliases of a function that accepts one value.
    PAIRED = "paired"
    # The value stands in Secrets Manager too, and the HTTP API deploys by itself.
    STORED = "stored"
    # A function that accepts one value, behind gateways.
    GAPPED = "gapped"


_REGISTERED = {
    Kind.PLAIN: "",
    Kind.RELEASED: ", alias: live",
    Kind.PAIRED: ", accepts: one, aliases: [blue, green]",
    Kind.STORED: "",
    Kind.GAPPED: ", accepts: one",
}
_STORE = "store: secrets-manager\n    secrets_manager: {{id: {name}}}"
_ALIASES = {Kind.RELEASED: ["live"], Kind.PAIRED: ["blue", "green"]}


@contextlib.contextmanager
def stand_in() -> Iterator[Sandbox]:
    """AWS, with changes that spread within a quarter of a second."""
    settings = sandbox.Settings(
        propagation_seconds=0.2,
        cache_seconds=0.1,
        idle_seconds=5,
        strict_mappings=True,
        strict_updates=True,
    )
    with sandbox.running(settings) as running:
        running.put_object("exports", "orders.csv", b"a,b\n1,2\n" * 100)
        yield running


def migrated(folder: Path, aws: Sandbox) -> dict[str, str]:
    """The settings of all portals of a test, and in `folder` a database for `World` to copy."""
    made = environment(folder, aws)
    shutil.copy(migrated_database(made), folder / "db.sqlite3")
    return made


def environment(folder: Path, aws: Sandbox) -> dict[str, str]:
    """The settings of a portal, with short waits."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))},
        **aws.environment(),
        "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
        "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_ROTATION_SETTLE": "0.4",
        "SPILLWAY_ROTATION_PROPAGATION": "0.4",
        "SPILLWAY_ROTATION_DRAIN": "0.4",
        "SPILLWAY_ROTATION_CONSUMERS": "0.4",
        "SPILLWAY_ROTATION_LEASE": "2",
        **_placed(folder),
    }


def _placed(folder: Path) -> dict[str, str]:
    return {
        "SPILLWAY_STATE_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
    }


class World:
    """A function with two gateways, a portal that rotates it, and the proxy between them."""

    def __init__(
        self,
        aws: Sandbox,
        environment: dict[str, str],
        folder: Path,
        *,
        kind: Kind = Kind.PLAIN,
    ) -> None:
        self.aws = aws
        self.folder = folder
        self.kind = kind
        self.released = kind is Kind.RELEASED
        self.old = secrets.token_urlsafe(32)
        self.name = f"orders-{secrets.token_hex(3)}"
        self.url = self._deployed_function()
        # Regions of their own: AWS takes one deployment in five seconds in each.
        self.rest = self._rest(replace(aws, region="eu-west-1"))
        self.http = self._http(replace(aws, region="eu-west-2"))
        self.process: BaseProcess | None = None
        self.statuses: list[int | None] = []
        self.proxy = Proxy(aws.url, self.kill)
        shutil.copy(Path(environment["SPILLWAY_STATE_DIR"]) / "db.sqlite3", folder / "db.sqlite3")
        self.environment = {
            **environment, **_placed(folder),
            "AWS_ENDPOINT_URL": self.proxy.url, "ORDERS": self.old,
        }  # fmt: skip

    def _deployed_function(self) -> str:
        environment = {**OTHERS, "SECRET_HEADER": self.old}
        url = self.aws.deploy_function(self.name, HANDLER, "app.handler", environment)
        aliases = _ALIASES.get(self.kind)
        if not aliases:
            return url
        functions = self.aws.client("lambda")
        functions.get_waiter("function_updated_v2").wait(FunctionName=self.name)
        version = functions.publish_version(FunctionName=self.name)["Version"]
        for alias in aliases:
            functions.create_alias(FunctionName=self.name, Name=alias, FunctionVersion=version)
        # Of a pair, one is called; the other one has no URL yet.
        self.aws.open_to_everyone(self.name, qualifier=aliases[0])
        return self.aws.function_url(self.name, qualifier=aliases[0])

    def _rest(self, aws: Sandbox) -> Gateway:
        made = aws.rest_api(f"rest-{self.name}", self.url, HEADER, self.old)
        apis = aws.client("apigateway")
        where = {"restApiId": made.api_id, "resourceId": made.resource_id, "httpMethod": "GET"}
        changes = {"/requestParameters/integration.request.header.x-tenant": "'blue'"}
        if self.released:
            changes[f"/requestParameters/integration.request.header.{HEADER}"] = (
                "stageVariables.secret"
            )
        apis.update_integration(**where, patchOperations=_replaced(changes))
        variables = {"/variables/secret": self.old, "/variables/tenant": "blue"}
        apis.update_stage(
            restApiId=made.api_id, stageName="prod", patchOperations=_replaced(variables)
        )
        apis.create_deployment(restApiId=made.api_id, stageName="prod")
        return made

    def _http(self, aws: Sandbox) -> Gateway:
        value = "$stageVariables.secret" if self.released else self.old
        made = aws.http_api(
            f"http-{self.name}", self.url, HEADER, value, auto_deploy=self.kind is Kind.STORED
        )
        aws.client("apigatewayv2").update_stage(
            ApiId=made.api_id, StageName="$default", StageVariables={"secret": self.old, **TENANT}
        )
        return made

    @property
    def registry(self) -> Path:
        return self.folder / "registry.yaml"

    def describe(self) -> None:
        """Writes the registry file."""
        alias = _REGISTERED[self.kind]
        more = _STORE.format(name=self.name) if self.kind is Kind.STORED else ""
        place = {"name": self.name, "region": self.aws.region, "alias": alias, "more": more}
        self.registry.write_text(REGISTRY.format(rest=self.rest, http=self.http, **place))

    @property
    def printed(self) -> str:
        output = self.folder / "output"
        return output.read_text() if output.exists() else ""

    def also_printed(self, text: str) -> None:
        """What other processes of this portal have printed."""
        with (self.folder / "output").open("a") as output:
            output.write(text)

    def rotate(self, *words: str, apply: bool = False) -> int | None:
        """The exit status; -9 where the proxy had it killed."""
        if apply:
            self.describe()
        self.process = started(
            self.environment,
            words,
            registry=self.registry if apply else None,
            output=self.folder / "output",
        )
        status = ended(self.process, within=200)
        self.statuses.append(status)
        return status

    def kill(self) -> None:
        """SIGKILL; returns when it runs no more."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            while "zombie" not in Path(f"/proc/{self.process.pid}/status").read_text():
                pass

    def state(self) -> str:
        """Of its latest rotation; empty where there was none."""
        with contextlib.closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=20)) as rows:
            query = "select state from streams_rotation order by id desc limit 1"
            found = rows.execute(query).fetchone()
            return str(found[0]) if found else ""

    def drift(self, alien: str) -> None:
        """Somebody gives the function and the HTTP API another value, which they agree on."""
        self.aws.client("lambda").update_function_configuration(
            FunctionName=self.name, Environment={"Variables": {**OTHERS, "SECRET_HEADER": alien}}
        )
        apis = self.aws.client("apigatewayv2", region_name="eu-west-2")
        where = {"ApiId": self.http.api_id}
        mapping = {f"overwrite:header.{HEADER}": alien}
        apis.update_integration(
            **where, IntegrationId=self.http.integration_id, RequestParameters=mapping
        )
        apis.create_deployment(**where, StageName="$default")

    def variables(self) -> dict[str, str]:
        """As callers meet them."""
        where = {"Qualifier": alias} if (alias := (_ALIASES.get(self.kind) or [""])[-1]) else {}
        functions = self.aws.client("lambda")
        answer = functions.get_function_configuration(FunctionName=self.name, **where)
        found: dict[str, str] = answer["Environment"]["Variables"]
        return found

    def stored(self) -> dict[str, str]:
        """Values in Secrets Manager, by their labels."""
        client, where = self.aws.client("secretsmanager"), {"SecretId": self.name}
        versions = client.describe_secret(**where)["VersionIdsToStages"]
        return {
            label: client.get_secret_value(**where, VersionId=version)["SecretString"]
            for version, labels in versions.items()
            for label in labels
        }

    def sent(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What each gateway maps, with its stage's variables."""
        apis = self.aws.client("apigateway", region_name="eu-west-1")
        rest = apis.get_integration(
            restApiId=self.rest.api_id, resourceId=self.rest.resource_id, httpMethod="GET"
        )["requestParameters"]
        rest |= apis.get_stage(restApiId=self.rest.api_id, stageName="prod")["variables"]
        apis = self.aws.client("apigatewayv2", region_name="eu-west-2")
        where = {"ApiId": self.http.api_id}
        integration = {"IntegrationId": self.http.integration_id}
        http = apis.get_integration(**where, **integration)["RequestParameters"]
        http |= apis.get_stage(**where, StageName="$default")["StageVariables"]
        return rest, http


def _replaced(changes: dict[str, str]) -> list[dict[str, str]]:
    return [{"op": "replace", "path": path, "value": value} for path, value in changes.items()]


def assert_whole(world: World) -> None:
    """The new value is wherever it should be and the old one nowhere; nothing else has changed."""
    new = world.variables()["SECRET_HEADER"]
    assert new != world.old
    assert world.variables() == {**OTHERS, "SECRET_HEADER": new}
    rest, http = world.sent()
    mapping = "integration.request.header"
    if world.released:
        variables = {"secret": new, **TENANT}
        assert rest == {
            f"{mapping}.{HEADER}": "stageVariables.secret",
            f"{mapping}.x-tenant": "'blue'",
            **variables,
        }
        assert http == {f"overwrite:header.{HEADER}": "$stageVariables.secret", **variables}
    else:
        unused = {"secret": world.old, **TENANT}
        assert rest == {
            f"{mapping}.{HEADER}": f"'{new}'", f"{mapping}.x-tenant": "'blue'", **unused
        }  # fmt: skip
        assert http == {f"overwrite:header.{HEADER}": new, **unused}
    for url in (world.rest.url, world.http.url):
        assert answer_of(url)[0] == 200
    assert answer_of(world.url, **{HEADER: world.old})[0] == 403
    assert answer_of(world.url, **{HEADER: new})[0] == 200
    assert_told_nowhere(world, [new, world.old])
    if world.kind is Kind.STORED:
        assert world.stored() == {"AWSCURRENT": new, "AWSPREVIOUS": world.old}


def assert_as_before(world: World) -> None:
    """The old value is wherever it was, and nothing else has changed."""
    assert world.variables() == {**OTHERS, "SECRET_HEADER": world.old}
    rest, http = world.sent()
    assert rest[f"integration.request.header.{HEADER}"] == f"'{world.old}'"
    assert rest["integration.request.header.x-tenant"] == "'blue'"
    assert http[f"overwrite:header.{HEADER}"] == world.old
    for url in (world.rest.url, world.http.url):
        assert answer_of(url)[0] == 200
    assert answer_of(world.url, **{HEADER: world.old})[0] == 200
    assert_told_nowhere(world, [world.old])


def assert_told_nowhere(world: World, values: list[str]) -> None:
    """No value in what was printed, in an address, nor in a row or file of ours."""
    files = [path for path in world.folder.rglob("*") if path.is_file()]
    for value in values:
        assert value not in world.printed
        assert not [call.path for call in world.proxy.calls if value in call.path]
        for path in files:
            assert value.encode() not in path.read_bytes(), path.name


def told(call: Call, new: str) -> str:
    """What a call that changed something was for; asserts that its value is as it must be."""
    body = call.body.decode()
    if call.operation in {"CreateSecret", "PutSecretValue"}:
        return "stored"
    if call.operation == "UpdateFunctionConfiguration":
        sent = json.loads(body)["Environment"]["Variables"]
        assert {name: sent.get(name) for name in OTHERS} == OTHERS
        return "both" if "SECRET_HEADER_NEXT" in sent else "new alone"
    if call.name == "apigateway:UpdateIntegration":
        assert f"\"'{new}'\"" in body
    elif call.operation in {"UpdateIntegration", "UpdateStage"}:
        assert f'"{new}"' in body
    else:
        assert new not in body
    return "release" if call.service == "lambda" else "sender"


def assert_in_order(world: World) -> None:
    """What reached AWS: the overlap first, then the senders, then the overlap's end."""
    new = world.variables()["SECRET_HEADER"]
    story = [kind for kind, _ in groupby(told(call, new) for call in world.proxy.changes())]
    assert (
        story
        == {
            Kind.PLAIN: ["both", "sender", "new alone"],
            Kind.RELEASED: ["both", "release", "sender", "new alone", "release"],
            # The alias that nobody calls has the new value alone from the first.
            Kind.PAIRED: ["new alone", "release", "sender", "release"],
            Kind.STORED: ["stored", "both", "sender", "new alone"],
            Kind.GAPPED: ["new alone", "sender"],
        }[world.kind]
    )
