"""The stored registry in the form of its file, without secret values and defaults."""

from typing import Any

import yaml

from streams.models import Endpoint, Gateway, Secret, SecretFunction
from streams.registry.spec import format_duration

NOTE = "# Secret values are not exported: say value_from_env or value_from_file to set them.\n"

_DEFAULTS = {
    "header": "x-secret-header",
    "store": "database",
    "accepts": "two",
    "variable": "SECRET_HEADER",
    "delivery": "stream",
}


def export() -> str:
    """YAML that `apply` finds unchanged."""
    registry: dict[str, Any] = {"version": 1}
    if secrets := [described_secret(secret) for secret in Secret.objects.order_by("name")]:
        registry["secrets"] = secrets
    if endpoints := [_endpoint(endpoint) for endpoint in Endpoint.objects.order_by("slug")]:
        registry["endpoints"] = endpoints
    text: str = yaml.safe_dump(registry, sort_keys=False, allow_unicode=True)
    return NOTE + text


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in values.items()
        if value not in ("", None, [], {}) and _DEFAULTS.get(name) != value
    }


def described_secret(secret: Secret) -> dict[str, Any]:
    """A secret as the file says it, without its value."""
    function = SecretFunction.objects.filter(secret=secret).first()
    return _said(
        {
            "name": secret.name,
            "header": secret.header,
            "rotate_every": secret.rotate_every and format_duration(secret.rotate_every),
            "window": secret.window,
            "jitter": secret.jitter and format_duration(secret.jitter),
            "store": secret.store,
            "secrets_manager": secret.secrets_manager,
            "function": function and _row(function),
            "gateways": [_row(gateway) for gateway in secret.gateways.order_by("pk")],
        }
    )


def _row(row: SecretFunction | Gateway) -> dict[str, Any]:
    # What is not editable is what rotations have found out.
    fields = [field for field in row._meta.concrete_fields if field.editable]
    names = [field.name for field in fields if field.name not in {"id", "secret"}]
    return _said({name: getattr(row, name) for name in names})


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    names = sorted(endpoint.grants.lasting().values_list("group__name", flat=True))
    return described(endpoint) | {"groups": "*" if endpoint.everyone else names}


def described(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint, stored or not, as the file says it; without its groups."""
    default_auth = "sigv4" if endpoint.kind in {"lambda", "s3"} else "none"
    return _said(
        {
            name: getattr(endpoint, name)
            for name in (
                "slug", "title", "description", "kind", "url", "function", "bucket", "key",
                "region", "role_arn",
            )
        }
        | {
            "auth": endpoint.auth if endpoint.auth != default_auth else None,
            "secret": endpoint.secret and endpoint.secret.name,
            "filename": endpoint.filename,
            "segments": endpoint.segments,
            "delivery": endpoint.delivery,
            "pages": endpoint.pages,
            "params": endpoint.params,
            "follows": endpoint.follows,
            "keep_gzip": endpoint.keep_gzip or None,
            "shareable": endpoint.shareable or None,
            "limits": endpoint.limits,
        }
    )  # fmt: skip
