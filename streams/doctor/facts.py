"""What was found out, once in a run, for the checks to judge: read, and never changed.

A fact that could not be read says why. Values of secrets are among them for comparison alone, and
stand in no `repr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.aws.functions import Alias, Configuration, UrlConfig
from streams.aws.gateways import Mapped
from streams.rotation.probing import Verdict


@dataclass(frozen=True)
class Unread:
    """Why something is not known, in a sentence. `missing`: AWS says that there is no such thing.

    What cannot be read since something else is missing is not `missing` itself.
    """

    reason: str
    missing: bool = False


@dataclass(frozen=True)
class SecretFacts:
    """A secret of ours. `rotating`: for now, AWS may have the next value as well."""

    name: str
    header: str
    value: str | Unread = field(repr=False)
    rotating: bool = False


@dataclass(frozen=True)
class Subject:
    """What a check is about. `name` is what sentences call it, `about` all that it is part of.

    `depends` is what a fault of may show here: a gateway is refused where its function is broken.
    """

    name: str
    about: frozenset[str]
    depends: frozenset[str] = frozenset()
    endpoint: str = ""
    secret_name: str = ""


@dataclass(frozen=True)
class FunctionFacts(Subject):
    """A function as it is called: `$LATEST`, or what its alias points at (`served`).

    `url_auth` is what the auth type of its URL should be, empty where it needs no URL. `streams`:
    an endpoint streams from its URL. `paired`: one of two aliases that take turns; `holds` is False
    for the one that is not in use.
    """

    function: str = ""
    qualifier: str = ""
    region: str = ""
    role_arn: str = ""
    secret: SecretFacts | None = None
    variable: str = ""
    holds: bool = True
    paired: bool = False
    url_auth: str = ""
    streams: bool = False
    latest: Configuration | Unread = field(default=Unread("Not asked."), kw_only=True)
    served: Configuration | Unread = field(default=Unread("Not asked."), kw_only=True)
    # None: it is called without one.
    alias: Alias | Unread | None = None
    # None: it has none.
    url: UrlConfig | Unread | None = None
    statements: tuple[Mapping[str, Any], ...] | Unread = ()


@dataclass(frozen=True)
class GatewayFacts(Subject):
    """An integration that sends a secret. `deployed` is None where AWS does not tell.

    `function_urls` are those that it may lead to. `through` is what a request through it met, None
    where its address is not registered.
    """

    type: str = ""
    region: str = ""
    where: Mapping[str, str] = field(default_factory=dict)
    secret: SecretFacts | None = None
    saved: Mapped | Unread = Unread("Not asked.")
    deployed: Mapped | Unread | None = None
    canary: bool | Unread = False
    # That of the stage.
    deployment: str | Unread = ""
    function_urls: tuple[str, ...] | Unread = ()
    through: Verdict | Unread | None = None


@dataclass(frozen=True)
class Answer:
    """What the origin said, asked for its first byte as a download would ask.

    `code`, `sentence` and `hint` are those of an `OriginError`, and empty where it opened;
    `passing`: it may be otherwise a moment later. `part`: it sent the one byte alone. `size` of the
    whole, in bytes, is None where it does not tell.
    """

    code: str = ""
    sentence: str = ""
    hint: str = ""
    passing: bool = False
    part: bool = False
    etag: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class EndpointFacts(Subject):
    """One export. `wrong` is what became of requests that must be refused, by how they were made.

    It is None where nothing is to be refused: no secret is checked there.
    """

    kind: str = ""
    url: str = ""
    compressed: bool = False
    # Bytes of one segment; None where it comes in one stream.
    segment: int | None = None
    secret: SecretFacts | None = None
    functions: tuple[FunctionFacts, ...] = ()
    right: Answer | Unread = Unread("Not asked.")
    wrong: Mapping[str, Verdict] | Unread | None = None


@dataclass(frozen=True)
class PortalFacts(Subject):
    """This installation. `undecryptable` are names of stored values that no key decrypts.

    `waiting` are the seconds for which the oldest due work has waited for a worker.
    """

    undecryptable: tuple[str, ...] = ()
    broker: bool = True
    waiting: float = 0.0
    debug: bool = False
    hosts: tuple[str, ...] = ()
    # The host of SPILLWAY_BASE_URL; empty where none is set.
    base_host: str = ""
