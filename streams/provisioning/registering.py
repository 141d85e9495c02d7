"""The registry's side: the secret with its function and gateways, and the endpoint."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from pydantic import ValidationError

from streams.models import Endpoint, Secret, SecretVersion
from streams.provisioning import form
from streams.provisioning.problems import UnfitError
from streams.provisioning.site import Site
from streams.registry.apply import Change, apply
from streams.registry.export import described, described_secret
from streams.registry.parse import RegistryError
from streams.registry.spec import EndpointSpec, RegistrySpec, SecretSpec

# Stands for a URL that is not made yet, so that everything else can be checked before.
_NO_URL = "https://example.com/"


@dataclass(frozen=True)
class IsRegistered:
    """Users find the endpoint, and rotations the function and its gateways."""

    site: Site
    name: str = "registry"
    proof: str = ""

    def missing(self) -> list[str]:
        return [f"{change}." for change in self._apply(dry_run=True) if change.what != "unchanged"]

    def do(self) -> None:
        wanted = self.site.request
        with transaction.atomic():
            # A rotation that began meanwhile has another value than we gave to the gateway.
            current = SecretVersion.objects.select_for_update().filter(
                secret__name=wanted.secret, state=SecretVersion.State.CURRENT
            )
            if [version.number for version in current] != [self.site.version]:
                raise UnfitError(
                    f"The secret {wanted.secret} has another value since. Run this again."
                )
            self._apply()
        self.site.undo.forget()

    def prove(self) -> None:
        """The database is believed."""

    def _apply(self, *, dry_run: bool = False) -> list[Change]:
        try:
            return apply(self._spec(), dry_run=dry_run)
        except RegistryError as exc:
            raise UnfitError("; ".join(exc.problems)) from None
        except ValidationError as exc:
            raise UnfitError("; ".join(form.problems(exc))) from None

    def _spec(self) -> RegistrySpec:
        return RegistrySpec(version=1, secrets=[self._secret()], endpoints=[self._endpoint()])

    def _secret(self) -> SecretSpec:
        """As it is registered, with this function, and this gateway beside the others."""
        site, wanted = self.site, self.site.request
        held = Secret.objects.filter(name=wanted.secret).first()
        said: dict[str, Any] = described_secret(held) if held else {"name": wanted.secret}
        function = said.get("function") or {"name": wanted.function}
        function |= {
            "region": wanted.region,
            "role_arn": wanted.role_arn or function.get("role_arn"),
            "alias": wanted.alias or None,
            "variable": site.variable,
            "accepts": site.accepts,
        }
        return SecretSpec.model_validate(
            said
            | {"header": site.header, "function": function}
            | {"gateways": self._gateways(said.get("gateways") or [])}
        )

    def _gateways(self, held: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that are registered, where they stand; ours among them, or last."""
        if self.site.gateway is None:
            return held
        ours = self.site.gateway.model_dump(exclude_none=True)
        merged = [ours if _is_same(one, ours) else one for one in held]
        return merged if ours in merged else [*merged, ours]

    def _endpoint(self) -> EndpointSpec:
        """As it is registered, at the function URL, and for these groups besides."""
        site, wanted = self.site, self.site.request
        held = Endpoint.objects.filter(slug=wanted.slug).first()
        said: dict[str, Any] = {"slug": wanted.slug, "kind": "function-url", "groups": []}
        if held is not None:
            if held.kind != "function-url":
                raise UnfitError(
                    f"The endpoint {wanted.slug} is there already, as {held.get_kind_display()}. "
                    "Take another slug, or remove it first."
                )
            readers = sorted(held.grants.lasting().values_list("group__name", flat=True))
            said = described(held) | {"groups": "*" if held.everyone else readers}
        everyone = wanted.groups is None or said["groups"] == "*"
        said |= {
            "title": wanted.title or said.get("title", wanted.slug),
            "url": site.url or _NO_URL,
            "auth": "secret-header",
            "secret": wanted.secret,
            "filename": wanted.filename or said.get("filename", ""),
            "groups": "*" if everyone else sorted({*said["groups"], *(wanted.groups or ())}),
        }
        return EndpointSpec.model_validate(said)


def _is_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two gateways are one, whatever address each is known by."""
    names = ("type", "region", "api_id", "resource_id", "method", "integration_id", "stage")
    return all(one.get(name) == other.get(name) for name in names)
