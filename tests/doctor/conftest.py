"""A sandbox with a function behind a URL and two gateways, registered as it should be."""

import http.server
import io
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import hcl2
import pytest
import uvicorn
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import transaction
from pytest_django.fixtures import Settings

import sandbox
from portal.asgi import Handler
from sandbox.client import ROLE, Sandbox
from sandbox.settings import ACCOUNT, MIB
from streams.access import tokens
from streams.delivery import engine as delivery
from streams.models import Download, Endpoint, Gateway, Secret, SecretFunction
from streams.rotation import engine
from tests.functional.client import Answer, Exchange
from tests.functional.conftest import until
from tests.rotation.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]
HANDLER = ROOT / "functions" / "python"
HEADER = "x-secret-header"
OTHERS = {"EXPORT_BUCKET": "exports", "EXPORT_KEY": "orders.csv"}
BODY = b"a,b\n1,2\n" * 1000


def trusting(principal: str) -> str:
    """The trust policy of a role that this one may assume."""
    statement = {
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole",
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(autouse=True)
def _no_messages_of_other_tests(settings: Settings, tmp_path: Path) -> None:
    messages_in(settings, tmp_path / "messages")


def messages_in(settings: Settings, folder: Path) -> None:
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | {"data_folder_in": str(folder)}
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = options


@pytest.fixture(scope="package")
def aws() -> Iterator[Sandbox]:
    # Nothing here is about how changes spread. The rate is AWS's.
    settings = sandbox.Settings(propagation_seconds=0.01, strict_access=True, bandwidth=2 * MIB)
    with sandbox.running(settings) as running:
        # Functions run under it, which must be there where access is strict.
        running.client("iam").create_role(
            RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=trusting("*")
        )
        running.put_object("exports", "orders.csv", BODY)
        yield running


# Where Terraform has no part: in what the registry says, in a handler's code, and in this portal.
WITHOUT_TERRAFORM = {
    "region-missing", "credentials-missing", "clock-skew", "credentials-expired",
    "credentials-invalid", "function-missing", "function-not-active", "function-update-failed",
    "url-differs", "secret-without-value", "secret-refused", "does-not-open", "open-without-header",
    "open-with-empty-header", "open-with-wrong-header", "not-resumable", "gateway-missing",
    "gateway-refused", "rotation-stuck", "rotation-slow", "identity-root", "identity-may-more",
    "identity-rotates-elsewhere", "object-elsewhere", "object-missing", "object-archived",
    "object-no-checksum", "origin-buffers", "first-byte-late", "gzip-unasked", "gzip-stripped",
    "gzip-mislabelled", "redirects-elsewhere",
}  # fmt: skip


def resources(text: str) -> dict[str, dict[str, Any]]:
    """What Terraform is told of each kind of resource, as its own parser reads it."""
    found: dict[str, dict[str, Any]] = {}
    for block in hcl2.loads(text).get("resource", []):
        ((kind, named),) = block.items()
        (body,) = named.values()
        found[kind.strip('"')] = {
            name: held.strip('"') if isinstance(held, str) else held for name, held in body.items()
        }
    return found


def check_terraform(identity: str, text: str) -> None:
    """Each finding has some, but for those in which Terraform has no part."""
    if identity in WITHOUT_TERRAFORM:
        assert text == ""
        return
    assert text, identity
    assert {"resource", "data"} & hcl2.loads(text).keys()


def doctor(*words: str) -> tuple[int, str, str]:
    """What `manage.py doctor` ends with, and what it writes to standard output and error."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    try:
        call_command("doctor", *words, stdout=out, stderr=err)
    except SystemExit as exc:
        status = int(str(exc.code))
    except CommandError as exc:
        status = exc.returncode
        err.write(str(exc))
    return status, out.getvalue(), err.getvalue()


def examined(*words: str) -> tuple[int, dict[str, Any]]:
    """What it ends with, and what it tells as JSON."""
    status, out, _ = doctor("--json", *words)
    return status, json.loads(out)


@dataclass
class Clinic:
    """What is examined. `told` is all that any run has written."""

    aws: Sandbox
    name: str
    value: str
    url: str
    secret: Secret
    told: str = ""
    status: int = 0

    @property
    def functions(self) -> Any:
        return self.aws.client("lambda")

    def set_variables(self, **variables: str) -> None:
        wanted = {**OTHERS, "SECRET_HEADER": self.value} | variables
        self.functions.update_function_configuration(
            FunctionName=self.name,
            Environment={"Variables": {name: held for name, held in wanted.items() if held}},
        )

    def export(self, size: int) -> None:
        """Its function has a file of so many bytes."""
        self.aws.put_object("exports", f"{self.name}.csv", bytes(size))
        self.set_variables(EXPORT_KEY=f"{self.name}.csv")

    def rest(self, *, value: str = "", stream: bool = False, seconds: float = 0) -> Gateway:
        made = self.aws.rest_api(
            self.name, self.url, HEADER, value or self.value, stream=stream, seconds=seconds
        )
        Endpoint.objects.create(
            slug="through-rest", title="Orders, REST", kind="gateway", url=made.url
        )
        return self.secret.gateways.create(
            type="rest", region=self.aws.region, api_id=made.api_id, method="GET",
            resource_id=made.resource_id, stage=made.stage, url=made.url,
        )  # fmt: skip

    def http(self, *, auto_deploy: bool = True) -> Gateway:
        made = self.aws.http_api(self.name, self.url, HEADER, self.value, auto_deploy=auto_deploy)
        Endpoint.objects.create(
            slug="through-http", title="Orders, HTTP", kind="gateway", url=made.url
        )
        return self.secret.gateways.create(
            type="http", region=self.aws.region, api_id=made.api_id,
            integration_id=made.integration_id, stage=made.stage, url=made.url,
        )  # fmt: skip

    def run(self, *words: str) -> dict[str, Any]:
        """What `manage.py doctor --json` tells; `status` is what it ends with."""
        text = self.write("--json", *words)
        found: dict[str, Any] = json.loads(text)
        return found

    def write(self, *words: str) -> str:
        """What it writes to standard output."""
        self.status, out, err = doctor(*words)
        self.told += out + err
        return out


@pytest.fixture
def account(
    aws: Sandbox,
    transactional_db: None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Sandbox]:
    """The stand-in for AWS, as the portal's own; nothing is registered."""
    settings.PRIVATE_ORIGINS = [ip_network("127.0.0.0/8")]
    for variable, told in aws.environment().items():
        monkeypatch.setenv(variable, told)
    engine.account.cache_clear()
    yield aws
    engine.account.cache_clear()


@pytest.fixture
def clinic(account: Sandbox) -> Iterator[Clinic]:
    aws = account
    name, value = f"orders-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    url = aws.deploy_function(name, HANDLER, "app.handler", {**OTHERS, "SECRET_HEADER": value})
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(value)
    SecretFunction.objects.create(secret=secret, name=name, region=aws.region)
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url=url, auth="secret-header",
        secret=secret,
    )  # fmt: skip
    made = Clinic(aws, name, value, url, secret)
    yield made
    assert value not in made.told


@pytest.fixture
def proxy(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the portal and AWS; what breaks things goes past it."""
    made = Proxy(clinic.aws.url, lambda: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    engine.account.cache_clear()
    yield made
    made.close()


def allowing(*statements: tuple[str, str]) -> str:
    """A policy that allows an action on a resource, each."""
    told = [{"Effect": "Allow", "Action": one, "Resource": place} for one, place in statements]
    return json.dumps({"Version": "2012-10-17", "Statement": told})


@dataclass
class User:
    """A user of IAM that the portal runs as. It may do what its policies say."""

    aws: Sandbox
    name: str

    @property
    def iam(self) -> Any:
        return self.aws.client("iam")

    def may(self, name: str, *statements: tuple[str, str]) -> None:
        self.iam.put_user_policy(
            UserName=self.name, PolicyName=name, PolicyDocument=allowing(*statements)
        )

    def may_no_more(self, name: str) -> None:
        self.iam.delete_user_policy(UserName=self.name, PolicyName=name)

    def may_be_simulated(self) -> None:
        self.may("simulate", ("iam:SimulatePrincipalPolicy", "*"), ("iam:GetRole", "*"))

    def may_read(self, bucket: str) -> None:
        arn = f"arn:aws:s3:::{bucket}"
        self.may("read", ("s3:GetObject", f"{arn}/*"), ("s3:ListBucket", arn))


@dataclass
class Identified(User):
    """One under which the function of a clinic is rotated."""

    clinic: Clinic

    @property
    def function(self) -> str:
        return f"arn:aws:lambda:{self.aws.region}:{ACCOUNT}:function:{self.clinic.name}"

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
            RoleName=name, Path="/spillway/", AssumeRolePolicyDocument=trusting("*")
        )["Role"]
        names = ("GetFunctionConfiguration", "UpdateFunctionConfiguration", "Get*")
        self.iam.put_role_policy(
            RoleName=name, PolicyName="rotate",
            PolicyDocument=allowing(
                ("iam:SimulatePrincipalPolicy", "*"), ("iam:GetRole", "*"),
                *((f"lambda:{one}", self.function) for one in names),
            ),
        )  # fmt: skip
        self.may("assume", ("sts:AssumeRole", made["Arn"]))
        SecretFunction.objects.update(role_arn=made["Arn"])
        return str(made["Arn"])


@pytest.fixture
def user(account: Sandbox, monkeypatch: pytest.MonkeyPatch) -> User:
    """The portal's own identity, which may do nothing yet."""
    name = f"portal-{secrets.token_hex(4)}"
    iam = account.client("iam")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    engine.account.cache_clear()
    return User(account, name)


@pytest.fixture
def portal(clinic: Clinic, user: User) -> Identified:
    made = Identified(clinic.aws, user.name, clinic)
    made.may_rotate()
    made.may_be_simulated()
    return made


class _Server(uvicorn.Server):
    """Ends what its downloads share, as the portal's own does."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        await delivery.shut_down()


@pytest.fixture
def upstream() -> Iterator[int]:
    """The port of the portal itself, which serves in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        # A handler of its own: it reads the settings when it is made.
        server = _Server(uvicorn.Config(Handler(), lifespan="off", log_config=None))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        yield sock.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def downloaded(port: int, slug: str) -> Answer:
    """What an operator gets of an export; its record has ended then."""
    user, _ = get_user_model().objects.get_or_create(username="op", is_staff=True)
    token = tokens.issue(user)
    path = f"/exports/{slug}/download"
    answer = Exchange(port, path, f"Authorization: Bearer {token}").read()
    assert until(lambda: not Download.objects.filter(finished_at=None).exists())
    return answer


class Plain(http.server.BaseHTTPRequestHandler):
    """Knows neither ranges nor entity tags."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"a,b")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
        """Quiet."""


@pytest.fixture
def plain() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
