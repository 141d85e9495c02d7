"""What a gateway lets through: how much at once, how long, and with what pauses."""

from collections.abc import Iterator

from streams.aws.gateways import Mapped
from streams.doctor import terraform
from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.checks.gateways import PASSES, aws, deployment, integration
from streams.doctor.facts import EndpointFacts, GatewayFacts

# What a gateway lets through that holds an answer until it is whole; one that streams lets so much
# through at once, and then so many bytes a second, for so many seconds at most.
WHOLE = BURST = 10 << 20
RATE = 2 << 20
LONGEST = 900
# From this share of its time-out on, an answer is about to be too late.
NEARLY = 0.8


@check(
    "gateway-size",
    Severity.ERROR,
    "The gateway lets the whole file through",
    consequence="Downloads fail at 10 MB.",
    follows_from=("gateway-missing",),
)
def gateway_size(endpoint: EndpointFacts) -> Iterator[Found]:
    gateway, saved = _through(endpoint)
    if saved.streams:
        raise SkippedError("It streams.")
    size = _size(endpoint)
    fix, cli, in_terraform = _mended(gateway, saved)
    if size > WHOLE:
        yield Found(
            f"{size} bytes at once are too much for {gateway.name}: it holds an answer until it is "
            "whole, and 10 MB at most.",
            fix,
            evidence=(f"size: {size} bytes",),
            cli=cli,
            terraform=in_terraform,
        )


@check(
    "gateway-time",
    Severity.WARNING,
    "The gateway waits long enough",
    consequence="Downloads end when its time is up: before their first byte where it holds answers "
    "until they are whole, and halfway where it streams.",
    follows_from=("gateway-missing", "gateway-size"),
)
def gateway_time(endpoint: EndpointFacts) -> Iterator[Found]:
    gateway, saved = _through(endpoint)
    told = _too_long(endpoint, saved)
    fix, cli, in_terraform = _mended(gateway, saved)
    if told:
        yield Found(
            f"{gateway.name} is ended after {saved.timeout:.0f} s, and {told}",
            fix,
            evidence=(f"time-out: {saved.timeout:.0f} s",),
            cli=cli,
            terraform=in_terraform,
        )


@check(
    "gateway-edge-idle",
    Severity.INFO,
    "A pause of the function does not end a download",
    consequence="A function that sends nothing for 30 seconds, while it asks a database perhaps, "
    "has its download cut.",
    follows_from=("gateway-missing",),
)
def edge_idle(gateway: GatewayFacts) -> Iterator[Found]:
    if not known(gateway.saved).streams:
        raise SkippedError("It does not stream.")
    if known(gateway.edge):
        yield Found(
            f"{gateway.name} is edge-optimised, and ends a stream that is silent for 30 s.",
            "Make the API regional, which bears 5 minutes of silence, or let the function send "
            "something in between.",
            evidence=("endpoint type: EDGE",),
            cli=(
                aws(
                    gateway, "update-rest-api", "--patch-operations",
                    "op=replace,path=/endpointConfiguration/types/EDGE,value=REGIONAL",
                ),
            ),
            terraform=terraform.rest_api(gateway, endpoint_configuration=terraform.regional()),
        )  # fmt: skip


def _through(endpoint: EndpointFacts) -> tuple[GatewayFacts, Mapped]:
    """The gateway of an export, as it is saved."""
    if endpoint.gateway is None:
        raise SkippedError("It comes through no gateway that is registered.")
    saved = known(endpoint.gateway.saved)
    if saved.type != PASSES:
        raise SkippedError("Its integration does not pass answers as they are.")
    return endpoint.gateway, saved


def _size(endpoint: EndpointFacts) -> int:
    """Bytes that are fetched at once."""
    answer = known(endpoint.right)
    if answer.size is None:
        raise SkippedError("The origin does not tell the size.")
    return min(answer.size, endpoint.segment or answer.size)


def _too_long(endpoint: EndpointFacts, saved: Mapped) -> str:
    """What takes longer than the gateway waits, or nearly; empty where nothing does."""
    if saved.streams:
        size = _size(endpoint)
        seconds = max(0, size - BURST) // RATE
        return f"{size} bytes take {seconds} s at 2 MiB/s." if seconds > saved.timeout else ""
    if endpoint.given_up:
        return "it gave up on the last download."
    if endpoint.slowest is None:
        raise SkippedError("Nobody has downloaded it yet.")
    if endpoint.slowest > NEARLY * saved.timeout:
        return f"a recent download waited {endpoint.slowest:.0f} s for its first byte."
    return ""


def _mended(gateway: GatewayFacts, saved: Mapped) -> tuple[str, tuple[str, ...], str]:
    """How to have more let through, for longer: the fix, its lines, and in Terraform."""
    if gateway.type == "http":
        fix = (
            "An HTTP API does not stream. Fetch the export in segments, register the function's "
            "own URL, or put a REST API in its place."
        )
        return fix, (), ""
    if saved.streams and saved.timeout >= LONGEST:
        return f"No gateway waits longer than {LONGEST} s: fetch the export in segments.", (), ""
    fix = (
        f"Set the response transfer mode to STREAM and its time-out to {LONGEST} s, and deploy the "
        "stage; or fetch the export in segments."
    )
    wanted = {"responseTransferMode": "STREAM", "timeoutInMillis": str(LONGEST * 1000)}
    cli = (integration(gateway, **wanted), deployment(gateway))
    in_terraform = terraform.integration(
        gateway, response_transfer_mode="STREAM", timeout_milliseconds=LONGEST * 1000
    )
    return fix, cli, in_terraform
