"""What stands in front of this portal: measured by a file of its own, asked for as users would."""

from collections.abc import Iterator
from http import HTTPStatus

from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.checks.portal import answers_to_itself
from streams.doctor.facts import Front, PortalFacts
from streams.doctor.front import ETAG, PAUSE


@check(
    "portal-elsewhere",
    Severity.ERROR,
    "SPILLWAY_BASE_URL leads to this portal",
    consequence="Some or all requests meet other users, exports and secrets than those that are "
    "managed here.",
)
def elsewhere(portal: PortalFacts) -> Iterator[Found]:
    for front in known(portal.fronts):
        if front.status == HTTPStatus.NOT_FOUND:
            told = "What answers does not know the portal's key"
        elif front.status == HTTPStatus.OK and front.installation != portal.installation:
            told = "What answers is another portal, or has another database"
        else:
            continue
        yield Found(
            f"{told}: not every request to SPILLWAY_BASE_URL comes here.",
            "Correct SPILLWAY_BASE_URL, or what it leads to. Where several machines serve, give "
            "them one SPILLWAY_SECRET_KEY, one SPILLWAY_ENCRYPTION_KEYS and one DATABASE_URL with "
            "PostgreSQL.",
            evidence=(f"SPILLWAY_BASE_URL: {portal.base_url}", f"status: {front.status}"),
        )
        return


@check(
    "proxy-forwards",
    Severity.ERROR,
    "What stands in front passes host and scheme on",
    consequence="Nobody can sign in: forms are taken for forged, requests are refused, or browsers "
    "are redirected for ever.",
    follows_from=("portal-https", "portal-elsewhere"),
)
def forwards(portal: PortalFacts) -> Iterator[Found]:
    for front in known(portal.fronts):
        if front.loops:
            told = "A request to SPILLWAY_BASE_URL is redirected to itself"
        elif front.status == HTTPStatus.BAD_REQUEST and answers_to_itself(portal):
            told = "A request to SPILLWAY_BASE_URL arrives with a Host that the portal refuses"
        elif front.address and _plain(front.address) != _plain(portal.base_url):
            told = f"A request to SPILLWAY_BASE_URL arrives as one to {front.address}"
        else:
            continue
        yield Found(
            f"{told}.",
            "Let the proxy set Host and X-Forwarded-Proto to what it was asked by, as "
            "deploy/nginx.conf does, and set SPILLWAY_HTTPS=true where it ends TLS.",
            evidence=(f"SPILLWAY_BASE_URL: {portal.base_url}", f"status: {front.status}"),
        )
        return


@check(
    "proxy-buffers",
    Severity.WARNING,
    "What stands in front does not buffer",
    consequence="A download begins late, its progress is not true, and the proxy fills its disk "
    "for a client that reads slowly.",
)
def buffers(portal: PortalFacts) -> Iterator[Found]:
    longest = max(front.waited for front in _own(portal))
    if longest < PAUSE / 2:
        yield Found(
            "The first byte of an answer comes with its last, which the portal sends "
            f"{PAUSE:.0f} s later.",
            "Switch the buffering of responses off in the proxy: proxy_buffering off in nginx.",
            evidence=(f"between first byte and last: {longest:.1f} s",),
        )


@check(
    "proxy-compresses",
    Severity.WARNING,
    "What stands in front leaves answers as they are",
    consequence="A compressed download has no length, and one that breaks off cannot be resumed.",
)
def compresses(portal: PortalFacts) -> Iterator[Found]:
    for front in _own(portal):
        if front.coding or front.etag != ETAG or front.length is None:
            yield Found(
                "The proxy changes answers: their coding, their ETag or their length.",
                "Have it neither compress nor transform what the portal sends, at least below "
                "/exports/.",
                evidence=(
                    f"Content-Encoding: {front.coding or 'none'}",
                    f"ETag: {front.etag or 'none'}",
                    f"Content-Length: {'none' if front.length is None else front.length}",
                ),
            )
            return


@check(
    "proxy-ranges",
    Severity.WARNING,
    "What stands in front passes byte ranges on",
    consequence="A download that breaks off starts again from its first byte.",
)
def passes_ranges(portal: PortalFacts) -> Iterator[Found]:
    if not all(front.part for front in _own(portal)):
        yield Found(
            "Asked for a range, the proxy sends something else.",
            "Have it pass Range and If-Range on, and 206 back, and keep no cache of /exports/.",
        )


def _own(portal: PortalFacts) -> list[Front]:
    """The answers of this portal."""
    answered = [one for one in known(portal.fronts) if one.installation]
    found = [one for one in answered if one.installation == portal.installation]
    if not found:
        raise SkippedError("The portal did not answer at SPILLWAY_BASE_URL.")
    return found


def _plain(address: str) -> tuple[str, str]:
    """Scheme and host, with a port where it is not the usual one."""
    scheme, _, rest = address.lower().partition("://")
    host = rest.partition("/")[0]
    return scheme, host.removesuffix(":443" if scheme == "https" else ":80")
