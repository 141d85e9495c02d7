"""What was found out, once in a run, for the checks to judge: read, and never changed.

A fact that could not be read says why. Values of secrets are among them for comparison alone, and
stand in no `repr`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from streams.aws.caller import Caller
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


LATE = Unread("The time of this run was up before it could be read.")


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
class RegionFacts(Subject):
    """The portal's own region, empty where it has none; `without` names what relies on it."""

    own: str = ""
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class AccountFacts(Subject):
    """Who asks AWS, and where: this portal itself, or a role that it assumes (`role_arn`)."""

    role_arn: str = ""
    region: str = ""
    caller: Caller | Unread = Unread("Not asked.")


@dataclass(frozen=True)
class FunctionFacts(Subject):
    """A function as it is called: `$LATEST`, or what its alias points at (`served`).

    `function` is empty where nobody knows which one is behind a URL.
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
    # Whether its public URL gives bytes for nothing; None where it has none, or checks a secret.
    open: bool | Unread | None = None


@dataclass(frozen=True)
class GatewayFacts(Subject):
    """An integration that sends a secret. `deployed` is None where AWS does not tell.

    Then `switched_at` is when the last rotation changed its mapping, and `deployed_at` when the
    deployment was made that the stage has; None where that is not known. `function_urls` are those
    that it may lead to. `through` is what a request through it met, None where its address is not
    registered. `edge`: it streams by way of AWS's CloudFront.
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
    switched_at: datetime | None = None
    deployed_at: datetime | Unread | None = None
    edge: bool | Unread = False
    function_urls: tuple[str, ...] | Unread = ()
    through: Verdict | Unread | None = None


@dataclass(frozen=True)
class Sample:
    """How the beginning of a whole file came. It was given up after `size` bytes or `rest` seconds.

    `first` are the seconds until its first byte, `rest` those from there on; `ended`: that was all
    of it. `warm`: no start of a function is among those seconds.
    """

    first: float
    rest: float
    size: int
    ended: bool = False
    warm: bool = True


@dataclass(frozen=True)
class Answer:
    """What the origin said, asked for its first byte as a download would ask.

    `code`, `sentence` and `hint` are those of an `OriginError`, and empty where it opened;
    `passing`: it may be otherwise a moment later. `aws_code` is AWS's word for a refusal,
    `leads_to` scheme and host of a redirect that is not followed.

    `part`: it sent the one byte alone; else `sample` tells how the file began, where that was
    looked at. `size` of the whole, in bytes, is None where it does not tell. `coding` is its
    `Content-Encoding`; `gzipped`: the body is gzipped, and its file is to be; `looks_gzipped`: its
    first bytes are gzip's.
    """

    code: str = ""
    sentence: str = ""
    hint: str = ""
    passing: bool = False
    aws_code: str = ""
    leads_to: str = ""
    part: bool = False
    etag: str | None = None
    size: int | None = None
    sample: Sample | None = None
    coding: str = ""
    gzipped: bool = False
    looks_gzipped: bool = False


@dataclass(frozen=True)
class ObjectFacts:
    """What S3 tells of an object besides its bytes.

    `head` is the status of `HeadObject`, and `listing` that of a list of its bucket: 403 where that
    is not allowed. `bucket_region` is empty where S3 does not tell, `archived` the storage class of
    an object that must be restored first, `kms_key` the key that it is encrypted with. `checksum`:
    S3 keeps one of the whole object; `composite`: it keeps one of its parts.
    """

    head: int = 200
    listing: int = 200
    bucket_region: str = ""
    archived: str = ""
    restoring: bool = False
    kms: bool = False
    kms_key: str = ""
    checksum: bool = False
    composite: bool = False


@dataclass(frozen=True)
class EndpointFacts(Subject):
    """One export. `wrong` is what became of requests that must be refused, by how they were made.

    It is None where nothing is to be refused: no secret is checked there.
    """

    kind: str = ""
    url: str = ""
    # `bucket/key`, and where they are said to be.
    place: str = ""
    region: str = ""
    compressed: bool = False
    # Bytes of one segment; None where it comes in one stream.
    segment: int | None = None
    secret: SecretFacts | None = None
    functions: tuple[FunctionFacts, ...] = ()
    # That which its address is of; None where none such is registered.
    gateway: GatewayFacts | None = None
    # Whoever knows the address is let in, by the registry.
    public: bool = False
    # Seconds until the first byte, of recent downloads at most; None where there was none.
    slowest: float | None = None
    # The last download ended since its gateway gave up.
    given_up: bool = False
    right: Answer | Unread = Unread("Not asked.")
    wrong: Mapping[str, Verdict] | Unread | None = None
    # None: it is no object in S3.
    object: ObjectFacts | Unread | None = None


class Need(StrEnum):
    """What an identity would do with a permission."""

    ROTATE = "rotate"
    LOOK = "look"
    # Spillway never does it.
    NOTHING = "nothing"
    # A rotation does it, under another identity.
    ELSEWHERE = "elsewhere"


class Decision(StrEnum):
    ALLOWED = "allowed"
    DENIED = "denied"
    # It depends on what the simulation does not know.
    UNSURE = "unsure"


@dataclass(frozen=True)
class Permission:
    """Whether AWS would let an identity do something; `resource` is an ARN, or `*`."""

    need: Need
    action: str
    resource: str
    decision: Decision


@dataclass(frozen=True)
class IdentityFacts(Subject):
    """Whom AWS takes this portal for, itself or in a role. `arn` is the user's or role's own."""

    arn: str | Unread = Unread("Not asked.")
    permissions: tuple[Permission, ...] | Unread = Unread("Not asked.")


@dataclass(frozen=True)
class RotationFacts(Subject):
    """A rotation that is under way, with what checks and sends its secret.

    `quiet` are the seconds since it last came forward, `pause` those that one of its steps may have
    to wait. `versions` say by its fingerprint what a value is to this rotation.
    """

    state: str = ""
    step: str = ""
    back: bool = False
    waiting: str = ""
    problem: str = ""
    quiet: float = 0.0
    pause: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    # The fingerprint of what the portal itself sends.
    sent: str = ""
    functions: tuple[FunctionFacts, ...] = ()
    gateways: tuple[GatewayFacts, ...] = ()


@dataclass(frozen=True)
class DeploymentFacts(Subject):
    """This installation, by its settings and disks alone.

    `https`: it believes a proxy that TLS ends there, and has its cookies sent over TLS alone.
    `uncollected` are static files that pages cannot link to. `free` are bytes, and None where there
    is no state folder yet. `database_disk` and `broker_disk` are types of network file systems that
    the embedded ones are on.
    """

    debug: bool = False
    hosts: tuple[str, ...] = ()
    # SPILLWAY_BASE_URL; empty where none is set.
    base_url: str = ""
    https: bool = False
    uncollected: tuple[str, ...] | Unread = ()
    state: str = ""
    free: int | None = None
    database_disk: str = ""
    broker_disk: str = ""

    @property
    def base_host(self) -> str:
        return urlsplit(self.base_url).hostname or ""


@dataclass(frozen=True)
class Front:
    """How a file of the portal's own came through SPILLWAY_BASE_URL.

    `loops`: it was redirected to the address that it was asked at. `installation` is who answered,
    and `address` by which one it was asked, such as `https://host`; both are empty where something
    else came. `waited` are the seconds from its first byte to its last, between which the portal
    pauses. `part`: of a range that was asked for, that alone came.
    """

    status: int
    loops: bool = False
    installation: str = ""
    address: str = ""
    waited: float = 0.0
    coding: str = ""
    etag: str = ""
    length: int | None = None
    part: bool = True


@dataclass(frozen=True)
class PortalFacts(DeploymentFacts):
    """And by its database, its broker and what it is reached through.

    `undecryptable` are names of stored values that no key decrypts. `silent` are the seconds for
    which the tick has been missed, 0 where it comes; `ticked`: it did come once. `waiting` are the
    seconds for which the oldest due work has waited for a worker.
    """

    undecryptable: tuple[str, ...] = ()
    unmigrated: tuple[str, ...] = ()
    broker: bool = True
    worker: bool | Unread = True
    silent: float = 0.0
    ticked: bool = True
    waiting: float = 0.0
    # Who this is, among all portals.
    installation: str = ""
    fronts: tuple[Front, ...] | Unread = Unread("Not asked.")
