"""One module per kind of origin."""

from dataclasses import replace

from streams.aws.account import Account
from streams.net.client import Client
from streams.origins.base import (
    Body,
    Credential,
    Opened,
    Origin,
    Request,
    Reread,
    Target,
    Wanted,
)
from streams.origins.following import FollowingOrigin
from streams.origins.function_url import FunctionUrlOrigin
from streams.origins.gateway import GatewayOrigin
from streams.origins.http import HttpOrigin
from streams.origins.invocation import InvocationOrigin
from streams.origins.pages import PagesOrigin
from streams.origins.s3 import S3Origin

__all__ = [
    "Body",
    "Credential",
    "HttpOrigin",
    "Opened",
    "Origin",
    "Request",
    "Reread",
    "S3Origin",
    "Target",
    "Wanted",
    "build",
]

_KINDS: dict[str, type[HttpOrigin]] = {
    "function-url": FunctionUrlOrigin,
    "gateway": GatewayOrigin,
    "http": HttpOrigin,
    "lambda": InvocationOrigin,
    "pages": PagesOrigin,
    "s3": S3Origin,
}


def build(client: Client, account: Account, target: Target, reread: Reread | None = None) -> Origin:
    """The origin of an endpoint. `reread` gives the credentials of now."""
    origin = _KINDS[target.kind](client, account, target, reread)
    if target.follows != "s3":
        return origin
    objects = S3Origin(client, account, replace(target, kind="s3", auth="sigv4"))
    return FollowingOrigin(client, origin, objects, client.head_timeout)
