"""What an operator asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class GatewayRequest:
    """A path of an API that is to lead to the function, with the header added.

    `path` begins with a slash. Without `url` it is the API's own address.
    """

    type: Literal["rest", "http"]
    api_id: str
    path: str
    stage: str
    method: str = "GET"
    url: str = ""

    def address(self, region: str) -> str:
        """Where its callers find it."""
        if self.url:
            return self.url
        stage = "" if self.stage == "$default" else f"/{self.stage}"
        return f"https://{self.api_id}.execute-api.{region}.amazonaws.com{stage}{self.path}"


@dataclass(frozen=True)
class Request:
    """A function, and how it is to be offered. `groups` None: to every signed-in user.

    `header`, `variable` and `accepts` empty: as they are registered, else as usual.
    """

    function: str
    region: str
    slug: str
    title: str
    secret: str
    groups: tuple[str, ...] | None = ()
    filename: str = ""
    alias: str = ""
    role_arn: str = ""
    header: str = ""
    variable: str = ""
    accepts: str = ""
    gateway: GatewayRequest | None = None

    @classmethod
    def stored(cls, row: Mapping[str, Any]) -> "Request":
        """That which `dataclasses.asdict` and JSON have made of one."""
        groups, gateway = row["groups"], row["gateway"]
        made = dict(row) | {
            "groups": None if groups is None else tuple(groups),
            "gateway": GatewayRequest(**gateway) if gateway else None,
        }
        return cls(**made)
