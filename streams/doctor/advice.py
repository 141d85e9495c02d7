"""Which of the five ways past 6 MB fits an export, and what protects it best. Pure.

Every verdict has its reasons; a reason that is a limit has its figure, and where AWS says so.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

MIB = 1 << 20
BUFFERED = 6 * MIB
STREAMED = 200 * MIB
RATE = 2 * MIB
# Of a function, in seconds, and the most that S3 keeps as one object.
LONGEST = 900
OBJECT = 10_000 * 5 * (1 << 30)
# What a gateway that buffers allows: seconds and bytes.
_GATEWAY = 29
_GATEWAY_BYTES = 10 * MIB
# To which part text shrinks, if one may count on it.
COMPRESSED = 6

_DOCS = "https://docs.aws.amazon.com"
LAMBDA = f"{_DOCS}/lambda/latest/dg/gettingstarted-limits.html"
STREAMING = f"{_DOCS}/lambda/latest/dg/configuration-response-streaming.html"
URLS = f"{_DOCS}/lambda/latest/dg/urls-auth.html"
REST = f"{_DOCS}/apigateway/latest/developerguide/response-transfer-mode.html"
HTTP = f"{_DOCS}/apigateway/latest/developerguide/http-api-quotas.html"
S3 = f"{_DOCS}/AmazonS3/latest/userguide/qfacts.html"
PRESIGN = f"{_DOCS}/cli/latest/reference/s3/presign.html"
CLOUDFRONT = f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"
OAC = (
    f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide/"
    "private-content-restricting-access-to-lambda.html"
)


class Client(StrEnum):
    """Who fetches it. A gateway is API Gateway, in front of it for whomever it lets in."""

    BROWSER = "browser"
    SCRIPT = "script"
    SDK = "aws-sdk"
    PARTNER = "partner"
    GATEWAY = "gateway"


class Runtime(StrEnum):
    """`MANAGED`: one of Lambda's own, and not a custom one or a container."""

    ANY = "any"
    MANAGED = "managed"


class Way(StrEnum):
    STREAM = "response streaming"
    UPLOAD = "upload, and return the key"
    PAGES = "pagination"
    GZIP = "compression"
    CONTAINER = "a container (ECS)"


class Auth(StrEnum):
    IAM = "iam"
    CLOUDFRONT = "cloudfront"
    HEADER = "secret-header"


class Fit(StrEnum):
    """In this order."""

    YES = "fits"
    IF = "fits with care"
    NO = "does not fit"


@dataclass(frozen=True)
class Wish:
    """What is to be offered. `size` in bytes, `seconds` to make all of it; None: not known.

    `seconds` 0: it is there already, the same bytes for everybody. `direct`: clients call AWS
    themselves, and not this portal. Raises `ValueError` for what cannot be.
    """

    size: int | None = None
    seconds: float | None = None
    clients: frozenset[Client] = frozenset({Client.BROWSER})
    auth: Auth | None = None
    resumable: bool = False
    runtime: Runtime = Runtime.ANY
    direct: bool = False

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 0:
            raise ValueError("A size is not negative.")
        # Whatever is compared with no number is false.
        if self.seconds is not None and not 0 <= self.seconds < float("inf"):
            raise ValueError("The time to make it is a number of seconds, not negative.")
        if not self.clients:
            raise ValueError("Somebody has to fetch it: name at least one client.")


@dataclass(frozen=True)
class Reason:
    """`weight` moves the verdict up or down; None rules it out.

    `source` is where AWS says so, empty for what follows from this portal or from HTTP. With
    `care`, something has to be seen to.
    """

    weight: int | None
    sentence: str
    source: str = ""
    care: bool = False


Reasons = Callable[[Wish], Iterator[Reason]]


@dataclass(frozen=True)
class Verdict:
    """`more` is the page on it."""

    what: Way | Auth
    fit: Fit
    score: int
    reasons: tuple[Reason, ...]
    more: str


@dataclass(frozen=True)
class Advice:
    """The best first. `plain`: an ordinary answer is enough, and no way out is needed."""

    plain: bool
    ways: tuple[Verdict, ...]
    auths: tuple[Verdict, ...]


def advise(wish: Wish) -> Advice:
    """What fits, what does not, and why."""
    ways = [_verdict(way, start, look(wish), more) for way, start, look, more in _WAYS]
    auths = [_verdict(auth, start, look(wish), more) for auth, start, look, more in _AUTHS]
    plain = wish.size is not None and wish.size <= BUFFERED and (wish.seconds or 0) <= _GATEWAY
    return Advice(plain, _ranked(ways), _ranked(auths))


def _verdict(what: Way | Auth, start: int, reasons: Iterator[Reason], more: str) -> Verdict:
    held = tuple(reasons)
    ruled_out = any(one.weight is None for one in held)
    fit = Fit.NO if ruled_out else Fit.IF if any(one.care for one in held) else Fit.YES
    return Verdict(what, fit, start + sum(one.weight or 0 for one in held), held, more)


def _ranked(verdicts: list[Verdict]) -> tuple[Verdict, ...]:
    return tuple(sorted(verdicts, key=lambda one: (one.fit == Fit.NO, -one.score)))


def _stream(wish: Wish) -> Iterator[Reason]:
    made, size = wish.seconds, wish.size
    yield Reason(0, "Bytes arrive while they are made: one call, no bucket, no link to leak.")
    if size is None:
        yield Reason(-15, "What is longer than 200 MB is cut: measure it.", STREAMING, care=True)
    elif size > STREAMED and made == 0:
        parts = ceil(size / BUFFERED)
        yield Reason(
            -10,
            f"One answer is 200 MB at most: this one comes in {parts} ranges of 6 MB, fetched "
            "side by side (segments), which 2 MB/s does not slow down.",
            STREAMING,
            care=True,
        )
    elif size > STREAMED:
        yield Reason(
            # Where nobody knows how it is made, it may be there already.
            -30 if made is None else None,
            "One answer is 200 MB at most. More comes in ranges only, which needs a file that is "
            "there already and is the same for each of them.",
            STREAMING,
            care=True,
        )
    else:
        yield from _paced(size, made)
    if made is not None and made > LONGEST:
        yield Reason(None, "A function is ended after 900 s.", LAMBDA)
    if wish.resumable and made != 0:
        yield Reason(
            -15,
            "To be resumed, it must honour Range and keep a strong ETag: what is made anew for "
            "each request does neither.",
            care=True,
        )
    if wish.runtime == Runtime.MANAGED:
        yield Reason(
            -10,
            "Of Lambda's own runtimes Node.js alone streams; Python and others need a custom one.",
            STREAMING,
            care=True,
        )
    yield from _through_gateway(wish)


def _paced(size: int, made: float | None) -> Iterator[Reason]:
    sent = max(0, size - BUFFERED) / RATE
    if sent + (made or 0) > LONGEST:
        yield Reason(None, f"It takes {sent:.0f} s to send, and 900 s is the most.", LAMBDA)
    elif sent > 0:
        yield Reason(
            0,
            f"200 MB at most, 6 MB at once and then 2 MB/s: {sent:.0f} s for this one.",
            STREAMING,
        )
    else:
        yield Reason(5, "Up to 6 MB it goes at full speed.", STREAMING)


def _through_gateway(wish: Wish) -> Iterator[Reason]:
    """Limits of a gateway that answers with the bytes themselves."""
    if Client.GATEWAY not in wish.clients:
        return
    big = wish.size is None or wish.size > _GATEWAY_BYTES
    slow = wish.seconds is None or wish.seconds > _GATEWAY
    if big or slow:
        yield Reason(
            -5,
            "A gateway that buffers ends at 10 MB and 29 s. A REST API streams with "
            "responseTransferMode STREAM: 15 minutes, 10 MB at once and then 2 MB/s.",
            REST,
            care=True,
        )
        yield Reason(0, "An HTTP API cannot: 10 MB and 30 s, and no quota is raised.", HTTP)


def _upload(wish: Wish) -> Iterator[Reason]:
    made, size = wish.seconds, wish.size
    if size is not None and size > OBJECT:
        yield Reason(None, "One object of S3 is 48.8 TiB at most.", S3)
    elif size is None or size > STREAMED:
        yield Reason(25, "Of any size up to 48.8 TiB, at S3's own speed.", S3)
    if made == 0:
        yield Reason(25, "It is there already: kind s3 needs no function at all.")
    elif made is None or made > _GATEWAY:
        yield Reason(
            10,
            "It is made once and fetched often; the first to ask waits for all of it, unless "
            "something has it made before.",
        )
    if made is not None and made > LONGEST:
        yield Reason(
            -5,
            "A function is ended after 900 s: let a container or a batch job upload it.",
            LAMBDA,
            care=True,
        )
    if wish.resumable:
        yield Reason(15, "S3 honours ranges and has a strong ETag and checksums.")
    if wish.direct:
        yield Reason(
            -15,
            "Clients make two calls, and a presigned link works for whoever has it: 7 days at "
            "most, and no longer than the credentials that signed it.",
            PRESIGN,
            care=True,
        )
    yield Reason(0, "It costs a bucket, its policy and its clean-up.")


def _pages(wish: Wish) -> Iterator[Reason]:
    if wish.resumable:
        yield Reason(None, "A file of pages has no byte ranges, and so cannot be resumed.")
    if wish.size is not None and wish.size > BUFFERED:
        count = ceil(wish.size / BUFFERED)
        yield Reason(
            -20 if count > 100 else 0,
            f"At least {count} requests, each of 6 MB at most.",
            LAMBDA,
            care=count > 100,
        )
    if wish.seconds is not None and wish.seconds > LONGEST:
        yield Reason(10, "Each page is an invocation of its own: none runs for 900 s.", LAMBDA)
    if wish.direct:
        yield Reason(-15, "Every client has to walk the pages and join them.", care=True)
    else:
        yield Reason(0, "The portal walks the pages and joins them (kind pages).")
    if wish.runtime == Runtime.MANAGED:
        yield Reason(10, "Any runtime of Lambda does.")
    yield Reason(0, "What changes between two pages makes a file that is of no one moment.")


def _gzip(wish: Wish) -> Iterator[Reason]:
    most = COMPRESSED * (BUFFERED * 3 // 4)
    if wish.resumable:
        yield Reason(None, "What is compressed on its way has no byte ranges: no resuming.")
    if wish.size is None:
        yield Reason(-10, "It is outgrown without notice: measure it.", care=True)
    elif wish.size > COMPRESSED * STREAMED:
        yield Reason(
            None, "200 MB at most, counted compressed: about 1.2 GB of text, streamed.", STREAMING
        )
    elif wish.size > most:
        yield Reason(
            -15,
            "Compressed and as base64 it is more than the 6 MB of an ordinary answer, if it "
            "shrinks to a sixth: it must be streamed besides.",
            LAMBDA,
            care=True,
        )
    elif wish.size > BUFFERED:
        yield Reason(
            5, "Text shrinks to a sixth or so, and then fits into 6 MB, as base64 too.", LAMBDA
        )
    if wish.seconds is not None and wish.seconds > LONGEST:
        yield Reason(None, "A function is ended after 900 s.", LAMBDA)
    if wish.direct and wish.clients - {Client.BROWSER}:
        yield Reason(-5, "Clients must unzip it; a browser does by itself.")
    yield Reason(-5, "Pictures, archives and Parquet do not shrink.")


def _container(wish: Wish) -> Iterator[Reason]:
    long = wish.seconds is not None and wish.seconds > LONGEST
    if long or (wish.size is not None and wish.size > STREAMED and wish.seconds != 0):
        yield Reason(
            25, "No limit of 200 MB, of 900 s or of 2 MB/s: it may be made as it is sent.", LAMBDA
        )
    if wish.runtime == Runtime.MANAGED:
        yield Reason(-15, "It is no function any more.", care=True)
    yield Reason(0, "A service to run: image, load balancer, TLS, scaling.")
    yield from _through_gateway(wish)


def _iam(wish: Wish) -> Iterator[Reason]:
    unsigned = _unsigned(wish)
    if unsigned:
        yield Reason(None, f"They cannot sign for AWS (SigV4): {', '.join(unsigned)}.", URLS)
    elif wish.direct:
        yield Reason(30, "All of them can sign: no secret to keep, share or rotate.", URLS)
    else:
        yield Reason(
            30,
            "Only this portal calls the function, and it can sign (auth: sigv4): no secret to "
            "keep or rotate, and the function is not public.",
            URLS,
        )
    yield from _wished(wish, Auth.IAM)


def _cloudfront(wish: Wish) -> Iterator[Reason]:
    yield Reason(
        0,
        "The URL is AWS_IAM and CloudFront signs for it (origin access control): the function is "
        "not public. WAF, a domain of its own and a cache come with it.",
        OAC,
    )
    if Client.GATEWAY in wish.clients:
        yield Reason(None, "A gateway calls the function URL itself, and not by way of CloudFront.")
    if not wish.direct:
        yield Reason(-10, "Between this portal and the function it adds a hop, and nothing else.")
    elif wish.clients & {Client.BROWSER, Client.SCRIPT, Client.PARTNER}:
        yield Reason(
            25,
            "Clients need no key of AWS: signed URLs or cookies of CloudFront say who may fetch.",
        )
    if wish.size is not None and wish.size > 50 * 10**9:
        yield Reason(-5, "It caches files of up to 50 GB.", CLOUDFRONT)
    if wish.seconds is None or wish.seconds > 30:
        yield Reason(
            -5,
            "It waits 30 s for the next bytes of the function, or what is set, up to 120 s.",
            CLOUDFRONT,
            care=True,
        )
    yield from _wished(wish, Auth.CLOUDFRONT)


def _secret(wish: Wish) -> Iterator[Reason]:
    yield Reason(
        0,
        "The URL is public, and only the function itself refuses: each refusal is an invocation.",
        URLS,
    )
    if Client.GATEWAY in wish.clients:
        yield Reason(
            30, "A gateway cannot sign for a function URL, but it can add a header of its own."
        )
    if wish.direct and Client.BROWSER in wish.clients:
        yield Reason(None, "A browser that follows a link sends no header of yours.")
    sharing = sorted(wish.clients & {Client.SCRIPT, Client.PARTNER, Client.SDK})
    if wish.direct and sharing:
        yield Reason(
            -10,
            f"Everybody knows the value ({', '.join(sharing)}), can hand it on, and has to learn "
            "of each rotation.",
            care=True,
        )
    if not wish.direct:
        yield Reason(5, "This portal keeps the value, and rotates it with no refused request.")
    yield from _wished(wish, Auth.HEADER)


def _unsigned(wish: Wish) -> list[str]:
    """Who calls the function and cannot sign."""
    named = {Client.GATEWAY}
    if wish.direct:
        named |= {Client.BROWSER, Client.SCRIPT, Client.PARTNER}
    return sorted(wish.clients & named)


def _wished(wish: Wish, auth: Auth) -> Iterator[Reason]:
    if wish.auth == auth:
        yield Reason(20, "It is what you asked for.")


_RECIPES = "functions/recipes"
# Where it starts from, before its reasons move it.
_WAYS: tuple[tuple[Way, int, Reasons, str], ...] = (
    (Way.STREAM, 50, _stream, "functions/python/README.md"),
    (Way.UPLOAD, 30, _upload, f"{_RECIPES}/upload/README.md"),
    (Way.GZIP, 25, _gzip, f"{_RECIPES}/compression/README.md"),
    (Way.PAGES, 20, _pages, f"{_RECIPES}/pagination/README.md"),
    (Way.CONTAINER, 15, _container, f"{_RECIPES}/container/README.md"),
)
_AUTHS: tuple[tuple[Auth, int, Reasons, str], ...] = (
    (Auth.IAM, 0, _iam, "docs/registry.md"),
    (Auth.CLOUDFRONT, 0, _cloudfront, "docs/choosing.md"),
    (Auth.HEADER, 0, _secret, "docs/provisioning.md"),
)
