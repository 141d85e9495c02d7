"""Facts of gateways: what is saved, what the stage has, and what a request through one meets."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from streams.aws.gateways import HttpIntegration, Mapped, RestIntegration
from streams.doctor import accounts
from streams.doctor.facts import FunctionFacts, GatewayFacts, SecretFacts, Unread
from streams.doctor.reader import Reader
from streams.models import Gateway, RotationEvent, RotationState
from streams.rotation.parts import calls, own_region
from streams.rotation.problems import UnfitError


@dataclass
class Gateways:
    """Each is read once in a run."""

    reader: Reader
    _found: dict[int, GatewayFacts] = field(default_factory=dict)

    def facts(
        self, row: Gateway, secret: SecretFacts, functions: tuple[FunctionFacts, ...]
    ) -> GatewayFacts:
        """`functions` are those that check its secret."""
        if row.pk not in self._found:
            self._found[row.pk] = self._read(row, secret, functions)
        return self._found[row.pk]

    def _read(
        self, row: Gateway, secret: SecretFacts, functions: tuple[FunctionFacts, ...]
    ) -> GatewayFacts:
        about, checked_by = f"gateway {row.pk}", f"secret {row.secret.name}"
        parts = accounts.use_of(row).parts
        known: dict[str, Any] = {
            "name": str(row),
            "about": frozenset({about}),
            "depends": parts | {about, checked_by},
            "secret_name": row.secret.name,
            "secret": secret,
            "type": row.type,
            "where": _where(row),
            "function_urls": _urls(functions),
        }
        try:
            known["region"] = row.region or own_region()
        except UnfitError as exc:
            return GatewayFacts(**known, saved=Unread(str(exc)), **_unread(Unread(str(exc))))
        integration = self._integration(row)
        known["through"] = self.reader.asked(row.url) if row.url else None
        saved = self.reader.read(integration.saved, parts)
        if isinstance(saved, Unread):
            why = Unread("There is no such integration.") if saved.missing else saved
            return GatewayFacts(**known, saved=saved, **_unread(why))
        return GatewayFacts(**known, saved=saved, **self._more(row, integration, saved))

    def _more(
        self, row: Gateway, integration: RestIntegration | HttpIntegration, saved: Mapped
    ) -> dict[str, Any]:
        """What is asked of an integration that is there."""
        read = self.reader.read
        found: dict[str, Any] = {
            "deployed": read(integration.deployed),
            "canary": read(integration.canary),
            "deployment": read(integration.deployment),
        }
        if found["deployed"] is None:
            # Then its age is all there is to go by.
            found["switched_at"] = _switched_at(row)
            found["deployed_at"] = read(integration.deployed_at) if found["switched_at"] else None
        if saved.streams:
            found["edge"] = read(integration.edge)
        return found

    def _integration(self, row: Gateway) -> RestIntegration | HttpIntegration:
        of_gateway = calls(self.reader.account, row, self.reader.guard)
        header = row.secret.header
        if row.type == Gateway.Type.REST:
            return RestIntegration(
                of_gateway, row.api_id, row.resource_id, row.method, row.stage, header
            )
        return HttpIntegration(of_gateway, row.api_id, row.integration_id, row.stage, header)


def _switched_at(row: Gateway) -> datetime | None:
    """When its mapping was changed by the last rotation that has ended well."""
    events = RotationEvent.objects.filter(
        rotation__secret=row.secret_id,
        rotation__state=RotationState.COMPLETED,
        step=f"switch gateway {row.pk}",
    )
    last = events.order_by("-rotation__finished_at").values("rotation").first()
    if last is None:
        return None
    # The first thing that this step does is to save the mapping; it deploys after that.
    return events.filter(rotation=last["rotation"]).order_by("pk").values_list("at", flat=True)[0]


def _where(row: Gateway) -> dict[str, str]:
    named = {
        "api_id": row.api_id,
        "resource_id": row.resource_id,
        "method": row.method,
        "integration_id": row.integration_id,
        "stage": row.stage,
    }
    return {name: held for name, held in named.items() if held}


def _urls(functions: tuple[FunctionFacts, ...]) -> tuple[str, ...] | Unread:
    urls = []
    for function in functions:
        if isinstance(function.url, Unread):
            return function.url
        urls += [function.url.url] if function.url else []
    return tuple(urls)


def _unread(why: Unread) -> dict[str, Any]:
    return {"deployed": why, "canary": why, "deployment": why}
