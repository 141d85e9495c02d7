"""The OpenID Connect providers that people may sign in with, as `SPILLWAY_OIDC_PROVIDERS` says."""

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

EXPECTED = "a list of providers with id, name, server, client_id and client_secret in YAML or JSON"


def _server(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme == "https" and parts.hostname and not (parts.query or parts.fragment):
        return value
    # What the keys and tokens come over must be TLS, but on this machine.
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return value
    raise ValueError("the issuer's address, which begins with https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Provider(BaseModel):
    """One provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$", max_length=50)]
    name: Annotated[str, Field(min_length=1, max_length=100)]
    # Its `issuer`, to the letter.
    server: Annotated[str, AfterValidator(_server)]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr
    # Whether somebody unknown gets an account on their first sign-in.
    create: bool = False
    # Whether a verified e-mail address may lead to an account that is there.
    link_email: bool = False
    # Which claim names groups, and which of them it decides upon.
    groups_claim: str = "groups"
    groups: list[str] = []


def parse(value: Any) -> list[Provider]:
    """Raises `ValueError` with what was expected and where, and no value."""
    try:
        entries = yaml.safe_load(value) if isinstance(value, str) else value
        found = TypeAdapter(list[Provider]).validate_python(entries)
    except ValidationError as exc:
        problem = exc.errors(include_input=False, include_url=False)[0]
        # The name of an unknown key may be a value that slipped.
        key = str(problem["loc"][-1]) if problem["loc"] else ""
        at = f" ({key})" if key in Provider.model_fields else ""
        raise ValueError(f"{EXPECTED}, and no other keys than docs/accounts.md has{at}") from None
    except yaml.YAMLError:
        raise ValueError(EXPECTED) from None
    if len({provider.id for provider in found}) < len(found):
        raise ValueError("providers whose ids differ")
    return found


def as_allauth(providers: Sequence[Provider]) -> dict[str, Any]:
    """The same for django-allauth's `SOCIALACCOUNT_PROVIDERS`."""
    apps = [
        {
            "provider_id": provider.id,
            "name": provider.name,
            "client_id": provider.client_id,
            "secret": provider.client_secret.get_secret_value(),
            "settings": {
                "server_url": provider.server,
                "link_email": provider.link_email,
                "create": provider.create,
                "groups_claim": provider.groups_claim,
                "groups": provider.groups,
            },
        }
        for provider in providers
    ]
    return {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": apps}}
