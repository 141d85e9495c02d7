"""API Gateway integrations that inject a header, of REST and of HTTP APIs.

Quoting is decided here and nowhere else: a REST API takes a literal within single quotes and sends
nothing without them, an HTTP API takes it raw and would send the quotes.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from streams.aws.calls import Calls
from streams.aws.failures import MissingError, RejectedError

NOTE = "Spillway rotates a secret header"
_STAGE_VARIABLE = re.compile(
    r"\$?stageVariables\.([A-Za-z0-9_]+)|\$\{stageVariables\.([A-Za-z0-9_]+)\}"
)
# Seconds that an integration may take where nobody has said otherwise.
_REST_TIMEOUT = 29.0
_HTTP_TIMEOUT = 30.0
_DYNAMIC = re.compile(r"(method\.|integration\.|context\.|stageVariables\.|\$)")


@dataclass(frozen=True)
class Mapped:
    """What an integration sends as the header, and the `uri` that it sends it to.

    `value` is None where none can be read. `variable` is the stage variable that holds it.
    `problem` is `absent`, `unquoted`, `quoted`, `append` or `dynamic`. `type` is `HTTP_PROXY` where
    requests and answers pass as they are. `streams` is False where an answer is held until it is
    whole. `timeout` are the seconds that it may take.
    """

    value: str | None = field(repr=False)
    variable: str = ""
    problem: str = ""
    uri: str = ""
    type: str = ""
    streams: bool = False
    timeout: float = 0.0


ABSENT = Mapped(None, problem="absent")


@dataclass(frozen=True)
class Parameter:
    """A request parameter without its value, which may be a secret.

    `quote` is what must stand before and after the value. `expression` is set instead, where it is
    no value but says where to take one from.
    """

    name: str
    quote: str = ""
    expression: str = ""


def _check_value(value: str) -> None:
    if not re.fullmatch(r"[!-&(-~]+", value) or value.startswith("$"):
        raise ValueError("A value has visible ASCII characters, no single quote and no $ in front.")


def rest_parameters(header: str, value: str) -> dict[str, str]:
    """The mapping of an integration of a REST API that sends `value`."""
    _check_value(value)
    return {f"integration.request.header.{header}": f"'{value}'"}


def http_parameters(header: str, value: str) -> dict[str, str]:
    """The same of an HTTP API."""
    _check_value(value)
    return {f"overwrite:header.{header}": value}


@dataclass(frozen=True)
class RestIntegration:
    """The integration of one method of a REST API, as one stage serves it."""

    calls: Calls
    api_id: str
    resource_id: str
    method: str
    stage: str
    header: str

    def saved(self) -> Mapped:
        """`GetIntegration`: what the next deployment publishes."""
        return self._mapped(self._integration())

    def save(self, value: str, *, uri: str = "") -> None:
        """`UpdateIntegration`, or `UpdateStage` where a stage variable holds the value.

        With `uri`, both change in one call.
        """
        _check_value(value)
        parameters = self._integration().get("requestParameters") or {}
        mapped = _rest_mapped(parameters, self.header)
        if mapped.variable:
            path = f"/variables/{mapped.variable}"
            self._update_stage({"op": "replace", "path": path, "value": value})
            return
        name = _name_in(parameters, self._parameter)
        operation = {
            "op": "replace" if name in parameters else "add",
            "path": f"/requestParameters/{name.replace('~', '~0').replace('/', '~1')}",
            "value": f"'{value}'",
        }
        also = [{"op": "replace", "path": "/uri", "value": uri}] if uri else []
        self._call("UpdateIntegration", **self._where, patchOperations=[operation, *also])

    def raw(self) -> dict[str, Any]:
        """`GetIntegration` as it stands, for `put_back`. It has the value in it."""
        return self._integration()

    def parameters(self) -> list[Parameter]:
        """All that it sends along."""
        return [
            Parameter(name, quote="'")
            if len(text) > 1 and text[0] == text[-1] == "'"
            else Parameter(name, expression=text)
            for name, text in (self._integration().get("requestParameters") or {}).items()
        ]

    def put_back(self, raw: Mapping[str, Any]) -> None:
        """Address and mapping as they were before `save`."""
        parameters = raw.get("requestParameters") or {}
        name = _name_in(parameters, self._parameter)
        path = f"/requestParameters/{name.replace('~', '~0').replace('/', '~1')}"
        mapping: dict[str, str] = {"op": "remove", "path": path}
        if name in parameters:
            mapping = {"op": "replace", "path": path, "value": parameters[name]}
        address = {"op": "replace", "path": "/uri", "value": raw.get("uri", "")}
        self._call("UpdateIntegration", **self._where, patchOperations=[mapping, address])

    def deployed(self) -> Mapped | None:
        """`GetExport` of the stage: what it really serves. None where AWS does not tell."""
        integration = self._exported()
        return None if integration is None else self._mapped(integration)

    def deploy(self) -> str:
        """`CreateDeployment` to the stage, which publishes all that is pending in the API."""
        answer = self._call("CreateDeployment", stageName=self.stage, description=NOTE)
        return str(answer["id"])

    def deployment(self) -> str:
        """The deployment that the stage has."""
        return str(self._stage().get("deploymentId", ""))

    def deployed_at(self) -> datetime | None:
        """`GetDeployment`: when that was made; None where AWS does not tell."""
        deployment = self.deployment()
        if not deployment:
            return None
        made: datetime | None = self._call("GetDeployment", deploymentId=deployment).get(
            "createdDate"
        )
        return made

    def canary(self) -> bool:
        """Whether a share of the requests goes to another deployment."""
        return bool(self._stage().get("canarySettings"))

    def edge(self) -> bool:
        """`GetRestApi`: whether requests come by way of AWS's own CloudFront."""
        configuration = self._call("GetRestApi").get("endpointConfiguration") or {}
        return "EDGE" in (configuration.get("types") or [])

    def pending(self) -> list[str]:
        """What else a deployment would publish, in sentences without values."""
        export = self._export()
        if export is None:
            return ["it cannot be told what: AWS has no export of this stage"]
        saved = dict(self._all_saved())
        live = dict(_all_exported(export))
        return list(_differences(saved, live, ignored=self._parameter))

    @property
    def _parameter(self) -> str:
        return f"integration.request.header.{self.header}"

    @property
    def _where(self) -> dict[str, str]:
        return {"resourceId": self.resource_id, "httpMethod": self.method}

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("apigateway", operation, restApiId=self.api_id, **parameters)

    def _integration(self) -> dict[str, Any]:
        return self._call("GetIntegration", **self._where)

    def _stage(self) -> dict[str, Any]:
        return self._call("GetStage", stageName=self.stage)

    def _update_stage(self, operation: dict[str, str]) -> None:
        self._call("UpdateStage", stageName=self.stage, patchOperations=[operation])

    def _mapped(self, integration: Mapping[str, Any]) -> Mapped:
        mapped = _rest_mapped(integration.get("requestParameters") or {}, self.header)
        if mapped.variable:
            variables = self._stage().get("variables") or {}
            mapped = replace(mapped, value=variables.get(mapped.variable))
        return replace(
            mapped,
            uri=str(integration.get("uri", "")),
            type=_upper(integration.get("type")),
            streams=integration.get("responseTransferMode") == "STREAM",
            timeout=_seconds(integration.get("timeoutInMillis"), _REST_TIMEOUT),
        )

    def _export(self) -> dict[str, Any] | None:
        try:
            answer = self._call(
                "GetExport",
                stageName=self.stage,
                exportType="oas30",
                parameters={"extensions": "integrations"},
                accepts="application/json",
            )
        except (MissingError, RejectedError):
            return None
        return _document(answer["body"].read())

    def _exported(self) -> dict[str, Any] | None:
        """This method's integration in the stage's export."""
        export = self._export()
        if export is None:
            return None
        path = self._call("GetResource", resourceId=self.resource_id)["path"]
        methods = (export.get("paths") or {}).get(path) or {}
        # A proxy's `ANY` has a name of its own in OpenAPI.
        name = "x-amazon-apigateway-any-method" if self.method == "ANY" else self.method.lower()
        integration = (methods.get(name) or {}).get("x-amazon-apigateway-integration")
        return integration if isinstance(integration, dict) else None

    def _all_saved(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        position: dict[str, str] = {}
        while True:
            answer = self._call("GetResources", limit=500, embed=["methods"], **position)
            for resource in answer.get("items") or []:
                for name, method in (resource.get("resourceMethods") or {}).items():
                    yield f"{name} {resource['path']}", _shape(method.get("methodIntegration"))
            if not answer.get("position"):
                return
            position = {"position": answer["position"]}


@dataclass(frozen=True)
class HttpIntegration:
    """One integration of an HTTP API, as one stage serves it."""

    calls: Calls
    api_id: str
    integration_id: str
    stage: str
    header: str

    def saved(self) -> Mapped:
        """`GetIntegration`: what the next deployment publishes, or the stage by itself."""
        integration = self._integration()
        return self._mapped(
            integration.get("RequestParameters") or {},
            uri=integration.get("IntegrationUri", ""),
            type=_upper(integration.get("IntegrationType")),
            timeout=_seconds(integration.get("TimeoutInMillis"), _HTTP_TIMEOUT),
        )

    def save(self, value: str, *, uri: str = "") -> None:
        """`UpdateIntegration`, or `UpdateStage` where a stage variable holds the value.

        With `uri`, both change in one call.
        """
        _check_value(value)
        parameters = self._integration().get("RequestParameters") or {}
        mapped = _http_mapped(parameters, self.header)
        if mapped.variable:
            self._save_variable(mapped.variable, value)
            return
        changes = {_name_in(parameters, f"overwrite:header.{self.header}"): value}
        appending = _name_in(parameters, f"append:header.{self.header}")
        if appending in parameters:
            # What is mapped to nothing is removed.
            changes[appending] = ""
        also = {"IntegrationUri": uri} if uri else {}
        self._call(
            "UpdateIntegration",
            IntegrationId=self.integration_id,
            RequestParameters=changes,
            **also,
        )

    def _save_variable(self, name: str, value: str) -> None:
        # All of them, so that none is lost whether AWS adds these to what there is or replaces it.
        others = self._stage().get("StageVariables") or {}
        self._call("UpdateStage", StageName=self.stage, StageVariables={**others, name: value})

    def raw(self) -> dict[str, Any]:
        """`GetIntegration` as it stands, for `put_back`. It has the value in it."""
        return self._integration()

    def parameters(self) -> list[Parameter]:
        """All that it sends along."""
        return [
            Parameter(name, expression=text) if "$" in text else Parameter(name)
            for name, text in (self._integration().get("RequestParameters") or {}).items()
        ]

    def put_back(self, raw: Mapping[str, Any]) -> None:
        """Address and mapping as they were before `save`."""
        parameters = raw.get("RequestParameters") or {}
        # What is mapped to nothing is removed.
        ours = _name_in(parameters, f"overwrite:header.{self.header}")
        self._call(
            "UpdateIntegration",
            IntegrationId=self.integration_id,
            RequestParameters={ours: "", **parameters},
            IntegrationUri=raw.get("IntegrationUri", ""),
        )

    def deployed(self) -> Mapped | None:
        """`ExportApi` of the stage: what it really serves. None where AWS does not tell."""
        export = self._export()
        if export is None:
            return None
        found = {name: one for name, one in _integrations(export) if self._is_ours(one)}
        if len(found) > 1:
            # Several send this header: ours is known by the routes that lead to it.
            routes = self._routes()
            found = {name: one for name, one in found.items() if name in routes}
        if not found:
            return None
        ours = next(iter(found.values()))
        return self._mapped(
            ours.get("requestParameters") or {},
            uri=ours.get("uri", ""),
            type=_upper(ours.get("type")),
            timeout=_seconds(ours.get("timeoutInMillis"), _HTTP_TIMEOUT),
        )

    def deploy(self) -> str:
        """`CreateDeployment` to the stage; nothing, where the stage deploys by itself."""
        if self._stage().get("AutoDeploy"):
            return ""
        answer = self._call("CreateDeployment", StageName=self.stage, Description=NOTE)
        return str(answer["DeploymentId"])

    def deployment(self) -> str:
        """The deployment that the stage has."""
        return str(self._stage().get("DeploymentId", ""))

    def deployed_at(self) -> datetime | None:
        """`GetDeployment`: when that was made; None where AWS does not tell."""
        deployment = self.deployment()
        if not deployment:
            return None
        made: datetime | None = self._call("GetDeployment", DeploymentId=deployment).get(
            "CreatedDate"
        )
        return made

    def canary(self) -> bool:
        """HTTP APIs have none."""
        return False

    def edge(self) -> bool:
        """HTTP APIs are regional."""
        return False

    def pending(self) -> list[str]:
        """What else a deployment would publish; nothing where the stage deploys by itself."""
        if self._stage().get("AutoDeploy"):
            return []
        return ["every other change of this API since its last deployment, if there is one"]

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("apigatewayv2", operation, ApiId=self.api_id, **parameters)

    def _integration(self) -> dict[str, Any]:
        return self._call("GetIntegration", IntegrationId=self.integration_id)

    def _stage(self) -> dict[str, Any]:
        return self._call("GetStage", StageName=self.stage)

    def _mapped(self, parameters: Mapping[str, str], **how: Any) -> Mapped:
        mapped = _http_mapped(parameters, self.header)
        if mapped.variable:
            variables = self._stage().get("StageVariables") or {}
            mapped = replace(mapped, value=variables.get(mapped.variable))
        return replace(mapped, **how)

    def _export(self) -> dict[str, Any] | None:
        try:
            answer = self._call(
                "ExportApi",
                Specification="OAS30",
                OutputType="JSON",
                StageName=self.stage,
                IncludeExtensions=True,
            )
        except (MissingError, RejectedError):
            return None
        return _document(answer["body"])

    def _routes(self) -> set[str]:
        """Method and path of each route to this integration, as an export has them."""
        return {
            str(route["RouteKey"]).replace("$default", "ANY /$default")
            for route in all_items(self._call, "GetRoutes")
            if route.get("Target") == f"integrations/{self.integration_id}"
        }

    def _is_ours(self, shape: Mapping[str, Any]) -> bool:
        """An export does not number its integrations: ours is known by the header it sends."""
        names = {name.lower() for name in shape.get("requestParameters") or {}}
        header = self.header.lower()
        return bool(names & {f"overwrite:header.{header}", f"append:header.{header}"})


def all_items(call: Callable[..., dict[str, Any]], operation: str) -> Iterator[dict[str, Any]]:
    """What all pages of an HTTP API's list have."""
    token: dict[str, str] = {}
    while True:
        answer = call(operation, **token)
        yield from answer.get("Items") or []
        if not answer.get("NextToken"):
            return
        token = {"NextToken": answer["NextToken"]}


def _upper(kind: Any) -> str:
    """An integration's type: exports write it in small letters."""
    return str(kind or "").upper()


def _seconds(milliseconds: Any, default: float) -> float:
    return float(milliseconds) / 1000 if milliseconds else default


def _name_in(parameters: Mapping[str, str], name: str) -> str:
    """A parameter's name as it is spelt already: header names have no case of their own."""
    return next((held for held in parameters if held.lower() == name.lower()), name)


def _rest_mapped(parameters: Mapping[str, str], header: str) -> Mapped:
    name = _name_in(parameters, f"integration.request.header.{header}")
    text = parameters.get(name)
    if text is None:
        return ABSENT
    if len(text) > 1 and text[0] == text[-1] == "'":
        return Mapped(text[1:-1])
    if match := _STAGE_VARIABLE.fullmatch(text):
        return Mapped(None, match[1] or match[2])
    return Mapped(None, problem="dynamic" if _DYNAMIC.match(text) else "unquoted")


def _http_mapped(parameters: Mapping[str, str], header: str) -> Mapped:
    if _name_in(parameters, f"append:header.{header}") in parameters:
        return Mapped(None, problem="append")
    text = parameters.get(_name_in(parameters, f"overwrite:header.{header}"))
    if text is None:
        return ABSENT
    if match := _STAGE_VARIABLE.fullmatch(text):
        return Mapped(None, match[1] or match[2])
    if text.startswith("$"):
        return Mapped(None, problem="dynamic")
    if len(text) > 1 and text[0] == text[-1] == "'":
        return Mapped(None, problem="quoted")
    return Mapped(text)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _integrations(export: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Method and path of each integration in an export, and the integration."""
    for path, methods in (export.get("paths") or {}).items():
        for name, method in methods.items():
            if isinstance(method, dict) and "x-amazon-apigateway-integration" in method:
                verb = "ANY" if name.startswith("x-amazon") else name.upper()
                yield f"{verb} {path}", method["x-amazon-apigateway-integration"]


def _all_exported(export: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, integration in _integrations(export):
        yield name, _shape(integration)


def _shape(integration: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What of an integration can be compared; parameters by their names and digests alone."""
    told = integration or {}
    return {"uri": told.get("uri", ""), "parameters": told.get("requestParameters") or {}}


def _differences(
    saved: Mapping[str, Mapping[str, Any]], live: Mapping[str, Mapping[str, Any]], *, ignored: str
) -> Iterator[str]:
    for name in sorted(saved.keys() | live.keys()):
        if name not in live:
            yield f"{name} is new"
        elif name not in saved:
            yield f"{name} is removed"
        elif saved[name]["uri"] != live[name]["uri"]:
            yield f"{name} leads elsewhere"
        else:
            yield from _changed(name, saved[name]["parameters"], live[name]["parameters"], ignored)


def _changed(
    name: str, saved: Mapping[str, str], live: Mapping[str, str], ignored: str
) -> Iterator[str]:
    for parameter in sorted(saved.keys() | live.keys()):
        if parameter.lower() != ignored.lower() and saved.get(parameter) != live.get(parameter):
            yield f"{name}: {parameter} is changed"
