"""One module per kind of origin."""

from streams.net.client import Client
from streams.origins.base import Credential, Opened, Origin, Wanted
from streams.origins.function_url import FunctionUrlOrigin
from streams.origins.http import HttpOrigin

__all__ = ["Credential", "Opened", "Origin", "UnsupportedKindError", "Wanted", "build"]

_KINDS = {"function-url": FunctionUrlOrigin, "http": HttpOrigin}


class UnsupportedKindError(Exception):
    """This release cannot deliver from this kind of origin, or with this kind of auth."""


def build(client: Client, *, kind: str, auth: str, url: str) -> Origin:
    """The origin of an endpoint. Raises `UnsupportedKindError`."""
    if kind not in _KINDS or auth not in {"none", "secret-header"}:
        raise UnsupportedKindError(f"{kind} with auth {auth}")
    return _KINDS[kind](client, url)
