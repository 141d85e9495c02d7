"""A path of an API that leads to the function URL and adds the header."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from streams.aws.apis import HttpApi, Resource, RestApi
from streams.aws.gateways import HttpIntegration, Mapped, RestIntegration
from streams.models import Gateway
from streams.provisioning import form
from streams.provisioning.problems import LeftError, UnfitError
from streams.provisioning.request import GatewayRequest
from streams.provisioning.site import Site
from streams.registry.spec import GatewaySpec
from streams.rotation.probing import TIMES

_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_PROOF = "Requests through it, without a header, are answered as the function answers."


class _Integration(Protocol):
    """`aws.gateways.RestIntegration` or `HttpIntegration`."""

    def saved(self) -> Mapped: ...
    def save(self, value: str, *, uri: str = "") -> None: ...
    def raw(self) -> dict[str, Any]: ...
    def put_back(self, raw: Mapping[str, Any]) -> None: ...
    def deployed(self) -> Mapped | None: ...


@dataclass
class _Path:
    """What both types of API have in common. `deployed` is set once this run has deployed."""

    site: Site
    wanted: GatewayRequest
    name: str = "gateway"
    proof: str = _PROOF
    deployed: bool = False

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.wanted.path):
            raise UnfitError("A path is expected such as /orders, without variables.")
        ids = {"resource_id": "a", "method": self.wanted.method}
        try:
            self.spec(**(ids if self.wanted.type == "rest" else {"integration_id": "a"}))
        except ValidationError as exc:
            raise UnfitError("; ".join(form.problems(exc))) from None

    @property
    def url(self) -> str:
        return self.wanted.address(self.site.request.region)

    def differences(self, integration: _Integration) -> Iterator[str]:
        """What an integration that is there already has otherwise."""
        site, saved = self.site, integration.saved()
        if saved.value is None or saved.value != site.value:
            if saved.variable:
                raise UnfitError(
                    f"The header is mapped to the stage variable {saved.variable}, which holds "
                    "another value. Map it to the value itself, or set the variable."
                )
            what = "is mapped" if saved.problem == "absent" else "is mapped anew"
            yield f"The header {site.header} {what} to the value."
        if not site.url or saved.uri != site.url:
            yield f"Its address becomes the function URL; it is {_shown(saved.uri)}."

    def change(self, integration: _Integration) -> None:
        """What `differences` told, by one call."""
        before = integration.raw()
        self.site.undo.add("the integration is as it was", lambda: integration.put_back(before))
        integration.save(self.site.value, uri=self.site.url)

    def is_live(self, integration: _Integration) -> bool:
        """Whether the stage serves it, as far as AWS tells; else it is asked itself."""
        served = integration.deployed()
        if served is not None:
            return (served.value, served.uri) == (self.site.value, self.site.url)
        return self.deployed or self.answers()

    def answers(self) -> bool:
        """Whether a request through it is answered as one to the function itself."""
        known = self.site.status
        return known is not None and _alike(self.site.address(self.url).status(), known)

    def prove(self) -> None:
        self.site.until(
            lambda: all(self.answers() for _ in range(TIMES)),
            f"{self.url} does not answer as the function itself does "
            f"(status {self.site.status}). If it has another address, say --gateway-url.",
        )

    def check_free(self, **ids: str) -> None:
        """Raises where the registry has it as a gateway of another secret."""
        wanted = self.wanted
        rows = Gateway.objects.filter(type=wanted.type, api_id=wanted.api_id, stage=wanted.stage)
        other = rows.filter(**ids).exclude(secret__name=self.site.request.secret).first()
        if other is not None:
            raise UnfitError(
                f"{wanted.path} of this API sends the secret {other.secret.name} already. "
                "Take another path."
            )

    def spec(self, **ids: Any) -> GatewaySpec:
        return GatewaySpec(
            type=self.wanted.type,
            region=self.site.request.region,
            role_arn=self.site.request.role_arn or None,
            api_id=self.wanted.api_id,
            stage=self.wanted.stage,
            url=self.url,
            **ids,
        )


def _alike(status: int | None, known: int) -> bool:
    return status == known or (status is not None and status // 100 == known // 100 == 2)


def _shown(uri: str) -> str:
    """An address without what may be a secret in it."""
    return uri.partition("?")[0].rpartition("@")[2] or "none"


@dataclass
class RestPath(_Path):
    """A path of a REST API, which streams. What is deployed is what stands there then."""

    def missing(self) -> list[str]:
        resource = self._resource()
        sentences = list(self._unmade(resource))
        if resource and not sentences:
            self.check_free(resource_id=resource.id, method=self.wanted.method)
            integration = self._integration(resource)
            sentences = list(self.differences(integration))
            self.site.gateway = self.spec(resource_id=resource.id, method=self.wanted.method)
            if not sentences and self.is_live(integration):
                return []
        return [*sentences, *self._deployment()]

    def do(self) -> None:
        resource = self._made()
        integration = self._integration(resource)
        if list(self.differences(integration)):
            self.change(integration)
        elif self.is_live(integration):
            return
        self._deploy(integration)

    @property
    def api(self) -> RestApi:
        return RestApi(self.site.gateway_calls, self.wanted.api_id)

    def _resource(self) -> Resource | None:
        return self.api.resources().get(self.wanted.path)

    def _integration(self, resource: Resource | None) -> RestIntegration:
        wanted = self.wanted
        resource_id = resource.id if resource else ""
        return RestIntegration(
            self.site.gateway_calls, wanted.api_id, resource_id, wanted.method, wanted.stage,
            self.site.header,
        )  # fmt: skip

    def _unmade(self, resource: Resource | None) -> Iterator[str]:
        """What of the path there is not yet. Raises `UnfitError` for what cannot be taken over."""
        wanted = self.wanted
        if resource is None:
            yield f"The resource {wanted.path} is made."
        method = resource.methods.get(wanted.method) if resource else None
        if method is None:
            yield f"Its method {wanted.method} is made, open to everybody."
        elif method.get("authorizationType", "NONE") != "NONE" or method.get("apiKeyRequired"):
            raise UnfitError(
                f"{wanted.method} {wanted.path} asks for an authorization of its own, so that this "
                "portal could not ask whether it works. Take another path."
            )
        held = (method or {}).get("methodIntegration")
        if held is None:
            yield (
                "It leads to the function URL (HTTP_PROXY, streamed) and sends the header "
                f"{self.site.header} with the value within single quotes."
            )
        elif held.get("type") != "HTTP_PROXY":
            raise UnfitError(
                f"{wanted.method} {wanted.path} has an integration of type {held.get('type')}, "
                "which cannot send a header of ours. Take another path."
            )

    def _deployment(self) -> list[str]:
        wanted = self.wanted
        if self.api.deployment(wanted.stage) is None:
            return [f"The stage {wanted.stage} is made, and all of the API deployed to it."]
        if self._integration(None).canary():
            raise UnfitError(
                f"The stage {wanted.stage} has a canary, whose requests would go elsewhere. "
                "Promote or remove it first."
            )
        own = f"{wanted.method} {wanted.path}"
        others = self._integration(None).pending()
        also = [sentence for sentence in others if not sentence.startswith(own)]
        published = f" This also publishes: {'; '.join(also)}." if also else ""
        return [f"The stage {wanted.stage} is deployed.{published}"]

    def _made(self) -> Resource:
        """The resource with its method and integration, made where they are missing."""
        wanted, api = self.wanted, self.api
        resource = self._with_parents()
        method = resource.methods.get(wanted.method)
        if method is None:
            self.site.undo.add(
                f"the method {wanted.method} of {wanted.path} is gone",
                lambda: api.remove_method(resource.id, wanted.method),
            )
            api.add_method(resource.id, wanted.method)
        if not (method or {}).get("methodIntegration"):
            self.site.undo.add(
                f"the integration of {wanted.path} is gone",
                lambda: api.remove_integration(resource.id, wanted.method),
            )
            api.add_integration(
                resource.id,
                wanted.method,
                url=self.site.url,
                header=self.site.header,
                value=self.site.value,
            )
        return resource

    def _with_parents(self) -> Resource:
        resources = self.api.resources()
        parent, path = resources["/"], ""
        for part in self.wanted.path.strip("/").split("/"):
            path += f"/{part}"
            if path not in resources:
                self.site.undo.add(f"the resource {path} is gone", self._without(path))
                resources[path] = Resource(self.api.add_resource(parent.id, part), path, {})
            parent = resources[path]
        return parent

    def _without(self, path: str) -> Any:
        def remove() -> None:
            resources = self.api.resources()
            if path not in resources:
                return
            # To remove it would remove what others have put there meanwhile.
            if resources[path].methods or any(one.startswith(f"{path}/") for one in resources):
                raise LeftError(f"Others use {path} meanwhile.")
            self.api.remove_resource(resources[path].id)

        return remove

    def _deploy(self, integration: RestIntegration) -> None:
        stage, ours = self.wanted.stage, ""
        before = self.api.deployment(stage)

        def put_back() -> None:
            now = self.api.deployment(stage)
            if now is None or now == before:
                return
            if ours and now != ours:
                raise LeftError(f"Somebody else has deployed to {stage} since: deploy it again.")
            self.api.put_back(stage, before, ours=now)

        self.site.undo.add(f"the stage {stage} serves what it served", put_back)
        ours = integration.deploy()
        self.deployed = True


@dataclass
class HttpPath(_Path):
    """A route of an HTTP API, which buffers up to 10 MB."""

    def missing(self) -> list[str]:
        stage = self.api.stage(self.wanted.stage)
        if stage is None:
            raise UnfitError(
                f"The HTTP API has no stage {self.wanted.stage}. Make one, or name another one."
            )
        route = self._route()
        if route is None:
            made = [
                f"The route {self._key} is made, open to everybody. It leads to the function URL "
                f"and sends the header {self.site.header} with the value, without quotes."
            ]
            return made + self._deployment(by_itself=stage.deploys_by_itself)
        integration = self._integration(self._integration_of(route))
        self.check_free(integration_id=integration.integration_id)
        self.site.gateway = self.spec(integration_id=integration.integration_id)
        sentences = list(self.differences(integration))
        if not sentences and (stage.deploys_by_itself or self.is_live(integration)):
            return []
        return sentences + self._deployment(by_itself=stage.deploys_by_itself)

    def do(self) -> None:
        route = self._route()
        integration_id = self._made() if route is None else self._integration_of(route)
        integration = self._integration(integration_id)
        if list(self.differences(integration)):
            self.change(integration)
        self._deploy(integration)

    @property
    def api(self) -> HttpApi:
        return HttpApi(self.site.gateway_calls, self.wanted.api_id)

    @property
    def _key(self) -> str:
        return f"{self.wanted.method} {self.wanted.path}"

    def _route(self) -> dict[str, Any] | None:
        return next((one for one in self.api.routes() if one["RouteKey"] == self._key), None)

    def _integration(self, integration_id: str) -> HttpIntegration:
        wanted = self.wanted
        return HttpIntegration(
            self.site.gateway_calls, wanted.api_id, integration_id, wanted.stage, self.site.header
        )

    def _integration_of(self, route: Mapping[str, Any]) -> str:
        """Raises `UnfitError` for what cannot be taken over."""
        if route.get("AuthorizationType", "NONE") != "NONE":
            raise UnfitError(
                f"The route {self._key} asks for an authorization of its own, so that this portal "
                "could not ask whether it works. Take another path."
            )
        target = str(route.get("Target", ""))
        identity = target.removeprefix("integrations/")
        held = {one["IntegrationId"]: one for one in self.api.integrations()}
        kind = held.get(identity, {}).get("IntegrationType", "none")
        if kind != "HTTP_PROXY":
            raise UnfitError(
                f"The route {self._key} has an integration of type {kind}, which cannot send a "
                "header of ours. Take another path."
            )
        if sum(one.get("Target") == target for one in self.api.routes()) > 1:
            raise UnfitError(
                f"The integration of {self._key} serves other routes as well. Take another path."
            )
        return identity

    def _deployment(self, *, by_itself: bool) -> list[str]:
        stage = self.wanted.stage
        if by_itself:
            return [f"The stage {stage} deploys it by itself."]
        also = "; ".join(self._integration("").pending())
        return [f"The stage {stage} is deployed. This also publishes: {also}."]

    def _made(self) -> str:
        """The id of the integration that a new route leads to."""
        site, api = self.site, self.api
        integration_id = self._unused()
        if not integration_id:
            site.undo.add("the integration is gone", self._without_integration)
            integration_id = api.add_integration(
                self.wanted.method, url=site.url, header=site.header, value=site.value
            )
        site.undo.add(f"the route {self._key} is gone", self._without_route)
        api.add_route(self._key, integration_id)
        return integration_id

    def _unused(self) -> str:
        """What a run that was killed has left: an integration like ours that no route leads to."""
        targets = {route.get("Target") for route in self.api.routes()}
        for one in self.api.integrations():
            if f"integrations/{one['IntegrationId']}" not in targets:
                mapped = self._integration(one["IntegrationId"]).saved()
                if (mapped.value, mapped.uri) == (self.site.value, self.site.url):
                    return str(one["IntegrationId"])
        return ""

    def _without_route(self) -> None:
        route = self._route()
        if route is not None:
            self.api.remove_route(route["RouteId"])

    def _without_integration(self) -> None:
        if identity := self._unused():
            self.api.remove_integration(identity)

    def _deploy(self, integration: HttpIntegration) -> None:
        name, ours = self.wanted.stage, ""
        before = self.api.stage(name)
        if before is None or before.deploys_by_itself:
            return
        deployment = before.deployment

        def put_back() -> None:
            now = self.api.stage(name)
            if now is None or now.deployment == deployment:
                return
            if not deployment or (ours and now.deployment != ours):
                raise LeftError(f"The stage {name} keeps its new deployment: deploy it again.")
            self.api.put_back(name, deployment, ours=now.deployment)

        self.site.undo.add(f"the stage {name} serves what it served", put_back)
        ours = integration.deploy()
        self.deployed = True
