"""The sandbox from Python: start it, deploy to it, end it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.settings import ACCESS_KEY, ACCOUNT, SECRET_KEY, Settings, flags

ROLE = f"arn:aws:iam::{ACCOUNT}:role/sandbox"
STOP_SECONDS = 20.0


class SandboxError(Exception):
    """The sandbox did not start; the text says what it printed."""


@dataclass(frozen=True)
class Gateway:
    """An API in front of a function URL, and the ids that a rotation needs."""

    url: str
    api_id: str
    stage: str
    resource_id: str = ""
    integration_id: str = ""


@dataclass(frozen=True)
class Sandbox:
    """A sandbox that runs. Every method may be called again: it brings up to date what is there."""

    url: str
    pid: int
    region: str

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of any service, with the dummy credentials."""
        options.setdefault("region_name", self.region)
        options.setdefault("config", Config(retries={"max_attempts": 1}, read_timeout=60))
        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            **options,
        )

    def environment(self) -> dict[str, str]:
        """The variables that make any program with an AWS SDK use the sandbox."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def put_object(self, bucket: str, key: str, body: Any, **options: Any) -> None:
        """Put an object; its bucket is made where it is missing."""
        s3 = self.client("s3")
        try:
            s3.head_bucket(Bucket=bucket)
        except ClientError:
            where = {"LocationConstraint": self.region}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        s3.put_object(Bucket=bucket, Key=key, Body=body, **options)

    def deploy_function(
        self,
        name: str,
        code: Path | bytes,
        handler: str,
        environment: Mapping[str, str] | None = None,
        *,
        url_auth: str = "NONE",
        invoke_mode: str = "RESPONSE_STREAM",
        policies: bool = True,
        timeout: int = 30,
    ) -> str:
        """Create or update the function and its URL, and return the URL.

        `policies` adds the two statements without which nobody may call a public URL. The rest is
        as with `upload_function`.
        """
        self.upload_function(name, code, handler, environment, timeout=timeout)
        if policies:
            self.open_to_everyone(name, url_auth)
        return self.function_url(name, url_auth=url_auth, invoke_mode=invoke_mode)

    def upload_function(
        self,
        name: str,
        code: Path | bytes,
        handler: str,
        environment: Mapping[str, str] | None = None,
        *,
        timeout: int = 30,
    ) -> None:
        """Create or update the function, without a URL.

        `code` is a folder, or a zip file's bytes.
        Without an `environment` the one that stands is left alone.
        """
        functions = self.client("lambda")
        package = code if isinstance(code, bytes) else zipped(code)
        settings: dict[str, Any] = {
            "Runtime": "provided.al2023",
            "Handler": handler,
            "Role": ROLE,
            "Timeout": timeout,
        }
        if environment is not None:
            settings["Environment"] = {"Variables": dict(environment)}
        try:
            functions.create_function(FunctionName=name, Code={"ZipFile": package}, **settings)
            # Until it is made, AWS refuses to change it.
            made = functions.get_waiter("function_updated_v2")
            made.config.delay = 0.05
            made.wait(FunctionName=name)
        except functions.exceptions.ResourceConflictException:
            functions.update_function_code(FunctionName=name, ZipFile=package)
            functions.update_function_configuration(FunctionName=name, **settings)

    def function_url(
        self,
        name: str,
        *,
        qualifier: str | None = None,
        url_auth: str = "NONE",
        invoke_mode: str = "RESPONSE_STREAM",
    ) -> str:
        """Create or update the URL of the function, or of its alias, and return it."""
        functions = self.client("lambda")
        where = {"FunctionName": name} | ({"Qualifier": qualifier} if qualifier else {})
        wanted = {"AuthType": url_auth, "InvokeMode": invoke_mode}
        try:
            answer = functions.create_function_url_config(**where, **wanted)
        except functions.exceptions.ResourceConflictException:
            answer = functions.update_function_url_config(**where, **wanted)
        return str(answer["FunctionUrl"])

    def open_to_everyone(
        self, name: str, url_auth: str = "NONE", *, qualifier: str | None = None
    ) -> None:
        """Add the two policy statements that a public function URL needs."""
        functions = self.client("lambda")
        where = {"FunctionName": name, "Principal": "*"}
        where |= {"Qualifier": qualifier} if qualifier else {}
        suffix = f"-{qualifier}" if qualifier else ""
        statements: list[dict[str, Any]] = [
            {
                "StatementId": f"public-url{suffix}",
                "Action": "lambda:InvokeFunctionUrl",
                "FunctionUrlAuthType": url_auth,
            },
            {
                "StatementId": f"public-invoke{suffix}",
                "Action": "lambda:InvokeFunction",
                "InvokedViaFunctionUrl": True,
            },
        ]
        for statement in statements:
            with contextlib.suppress(functions.exceptions.ResourceConflictException):
                functions.add_permission(**where, **statement)

    def rest_api(
        self,
        name: str,
        function_url: str,
        header: str,
        value: str,
        *,
        stage: str = "prod",
        path: str = "export",
        stream: bool = False,
        seconds: float = 0,
    ) -> Gateway:
        """A REST API whose GET adds the header, in its single quotes, and is deployed.

        `seconds` is its time-out; 0: 29 s, or 15 minutes for a stream.
        """
        apis = self.client("apigateway")
        api_id = (
            _named(apis.get_rest_apis()["items"], name) or apis.create_rest_api(name=name)["id"]
        )
        resources = {
            found["path"]: found["id"] for found in apis.get_resources(restApiId=api_id)["items"]
        }
        resource = (
            resources.get(f"/{path}")
            or apis.create_resource(restApiId=api_id, parentId=resources["/"], pathPart=path)["id"]
        )
        where = {"restApiId": api_id, "resourceId": resource, "httpMethod": "GET"}
        apis.put_method(**where, authorizationType="NONE")
        # Without a time-out of its own, a stream ends after 29 s.
        mode = {"responseTransferMode": "STREAM", "timeoutInMillis": 900_000} if stream else {}
        mode |= {"timeoutInMillis": int(seconds * 1000)} if seconds else {}
        apis.put_integration(
            **where,
            type="HTTP_PROXY",
            integrationHttpMethod="GET",
            uri=function_url,
            requestParameters={f"integration.request.header.{header}": f"'{value}'"},
            **mode,
        )
        apis.create_deployment(restApiId=api_id, stageName=stage)
        return Gateway(
            url=f"{self.url}/_rest/{api_id}/{stage}/{path}",
            api_id=api_id,
            stage=stage,
            resource_id=resource,
        )

    def http_api(
        self,
        name: str,
        function_url: str,
        header: str,
        value: str,
        *,
        stage: str = "$default",
        auto_deploy: bool = True,
        path: str = "export",
    ) -> Gateway:
        """An HTTP API whose GET overwrites the header with the raw value, and is deployed."""
        apis = self.client("apigatewayv2")
        found = [api for api in apis.get_apis()["Items"] if api["Name"] == name]
        for old in found:
            apis.delete_api(ApiId=old["ApiId"])
        api_id = apis.create_api(Name=name, ProtocolType="HTTP")["ApiId"]
        integration = apis.create_integration(
            ApiId=api_id,
            IntegrationType="HTTP_PROXY",
            IntegrationMethod="GET",
            IntegrationUri=function_url,
            PayloadFormatVersion="1.0",
            RequestParameters={f"overwrite:header.{header}": value},
        )["IntegrationId"]
        apis.create_route(
            ApiId=api_id, RouteKey=f"GET /{path}", Target=f"integrations/{integration}"
        )
        # Last of all: a stage that deploys by itself would publish each of the steps above.
        apis.create_stage(ApiId=api_id, StageName=stage, AutoDeploy=auto_deploy)
        if not auto_deploy:
            apis.create_deployment(ApiId=api_id, StageName=stage)
        return Gateway(
            url=f"{self.url}/_http/{api_id}/{stage}/{path}",
            api_id=api_id,
            stage=stage,
            integration_id=integration,
        )


def _named(items: list[dict[str, Any]], name: str) -> str | None:
    return next((str(item["id"]) for item in items if item.get("name") == name), None)


@contextlib.contextmanager
def running(settings: Settings | None = None) -> Iterator[Sandbox]:
    """Run a sandbox as a subprocess; it ends with the block, or with this process.

    Without a folder for its state it gets a temporary one.
    """
    settings = settings or Settings()
    with contextlib.ExitStack() as stack:
        if settings.state == Settings().state:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sandbox-"))
            settings = replace(settings, state=Path(folder))
        process = stack.enter_context(start(settings))
        yield process


@contextlib.contextmanager
def start(settings: Settings) -> Iterator[Sandbox]:
    """The same with the folder that the settings name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", *flags(replace(settings, with_parent=True))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SandboxError(f"It ended with status {process.wait()}; its errors stand above.")
        told = json.loads(line)
        yield Sandbox(url=told["url"], pid=told["pid"], region=settings.region)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def zipped(folder: Path) -> bytes:
    """The folder as a deployment package: the same bytes for the same files, whatever their age."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix())
                entry.external_attr = path.stat().st_mode << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()
