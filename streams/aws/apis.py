"""The parts of an API in API Gateway: what there is, making it, and taking it away again.

What is taken away may be gone already; every method raises `ControlError`s.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from streams.aws.calls import Calls
from streams.aws.failures import MissingError
from streams.aws.gateways import all_items, http_parameters, rest_parameters

# Milliseconds that a streamed answer may take: 15 minutes is AWS's most.
LONGEST = 900_000


@dataclass(frozen=True)
class Resource:
    """One path of a REST API. `methods` are by name, as AWS tells of them."""

    id: str
    path: str
    methods: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class RestApi:
    """A REST API: resources, methods, deployments."""

    calls: Calls
    api_id: str

    def resources(self) -> dict[str, Resource]:
        """`GetResources`, by path."""
        found: dict[str, Resource] = {}
        position: dict[str, str] = {}
        while True:
            answer = self._call("GetResources", limit=500, embed=["methods"], **position)
            for item in answer.get("items") or []:
                methods = item.get("resourceMethods") or {}
                found[item["path"]] = Resource(item["id"], item["path"], methods)
            if not answer.get("position"):
                return found
            position = {"position": answer["position"]}

    def add_resource(self, parent_id: str, part: str) -> str:
        """`CreateResource`; its id."""
        return str(self._call("CreateResource", parentId=parent_id, pathPart=part)["id"])

    def remove_resource(self, resource_id: str) -> None:
        """`DeleteResource`, with everything below it."""
        self._gone("DeleteResource", resourceId=resource_id)

    def add_method(self, resource_id: str, method: str) -> None:
        """`PutMethod`, open to everybody: it is the function that checks."""
        self._call("PutMethod", resourceId=resource_id, httpMethod=method, authorizationType="NONE")

    def remove_method(self, resource_id: str, method: str) -> None:
        """`DeleteMethod`, with its integration."""
        self._gone("DeleteMethod", resourceId=resource_id, httpMethod=method)

    def add_integration(
        self, resource_id: str, method: str, *, url: str, header: str, value: str
    ) -> None:
        """`PutIntegration`: streams what `url` answers to a request with the header."""
        self._call(
            "PutIntegration",
            resourceId=resource_id,
            httpMethod=method,
            type="HTTP_PROXY",
            integrationHttpMethod=method,
            uri=url,
            requestParameters=rest_parameters(header, value),
            responseTransferMode="STREAM",
            timeoutInMillis=LONGEST,
        )

    def remove_integration(self, resource_id: str, method: str) -> None:
        """`DeleteIntegration`."""
        self._gone("DeleteIntegration", resourceId=resource_id, httpMethod=method)

    def deployment(self, stage: str) -> str | None:
        """`GetStage`: which deployment it has; None where there is no such stage."""
        try:
            return str(self._call("GetStage", stageName=stage).get("deploymentId", ""))
        except MissingError:
            return None

    def put_back(self, stage: str, deployment: str | None, *, ours: str) -> None:
        """The stage with the deployment from before `ours`, or no stage; and `ours` is deleted."""
        if deployment:
            operation = {"op": "replace", "path": "/deploymentId", "value": deployment}
            self._call("UpdateStage", stageName=stage, patchOperations=[operation])
        else:
            self._gone("DeleteStage", stageName=stage)
        self._gone("DeleteDeployment", deploymentId=ours)

    def _gone(self, operation: str, **parameters: Any) -> None:
        with suppress(MissingError):
            self._call(operation, **parameters)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("apigateway", operation, restApiId=self.api_id, **parameters)


@dataclass(frozen=True)
class Stage:
    """A stage of an HTTP API."""

    deployment: str
    deploys_by_itself: bool


@dataclass(frozen=True)
class HttpApi:
    """An HTTP API: routes, integrations, deployments."""

    calls: Calls
    api_id: str

    def routes(self) -> list[dict[str, Any]]:
        """`GetRoutes`."""
        return list(all_items(self._call, "GetRoutes"))

    def integrations(self) -> list[dict[str, Any]]:
        """`GetIntegrations`."""
        return list(all_items(self._call, "GetIntegrations"))

    def add_integration(self, method: str, *, url: str, header: str, value: str) -> str:
        """`CreateIntegration`: hands `url` a request with the header. Its id."""
        answer = self._call(
            "CreateIntegration",
            IntegrationType="HTTP_PROXY",
            IntegrationMethod=method,
            IntegrationUri=url,
            PayloadFormatVersion="1.0",
            RequestParameters=http_parameters(header, value),
        )
        return str(answer["IntegrationId"])

    def remove_integration(self, integration_id: str) -> None:
        """`DeleteIntegration`."""
        self._gone("DeleteIntegration", IntegrationId=integration_id)

    def add_route(self, key: str, integration_id: str) -> None:
        """`CreateRoute`, open to everybody: it is the function that checks."""
        self._call(
            "CreateRoute",
            RouteKey=key,
            Target=f"integrations/{integration_id}",
            AuthorizationType="NONE",
        )

    def remove_route(self, route_id: str) -> None:
        """`DeleteRoute`."""
        self._gone("DeleteRoute", RouteId=route_id)

    def stage(self, name: str) -> Stage | None:
        """`GetStage`; None where there is no such stage."""
        try:
            answer = self._call("GetStage", StageName=name)
        except MissingError:
            return None
        return Stage(str(answer.get("DeploymentId", "")), bool(answer.get("AutoDeploy")))

    def put_back(self, stage: str, deployment: str, *, ours: str) -> None:
        """The stage with the deployment from before `ours`, which is deleted."""
        if deployment:
            self._call("UpdateStage", StageName=stage, DeploymentId=deployment)
            self._gone("DeleteDeployment", DeploymentId=ours)

    def _gone(self, operation: str, **parameters: Any) -> None:
        with suppress(MissingError):
            self._call(operation, **parameters)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self.calls("apigatewayv2", operation, ApiId=self.api_id, **parameters)
