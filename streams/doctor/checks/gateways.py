"""Gateways: what they send as the header, where to, and whether the stage has it."""

import shlex
from collections.abc import Iterator
from datetime import timedelta

from django.utils.crypto import constant_time_compare

from streams.aws.gateways import Mapped
from streams.doctor import terraform
from streams.doctor.checks.accounts import CREDENTIALS
from streams.doctor.checks.check import (
    Found,
    Severity,
    SkippedError,
    UnsureError,
    check,
    known,
    unreadable,
)
from streams.doctor.checks.functions import GONE
from streams.doctor.facts import GatewayFacts, Unread
from streams.doctor.remedies import PutBack
from streams.models.secrets import UNMAPPABLE, fingerprint
from streams.rotation.probing import Verdict

# By so much the clocks of AWS and of our database may differ.
CLOCKS = timedelta(minutes=1)
# The type of an integration through which requests and answers pass as they are.
PASSES = "HTTP_PROXY"
_REFUSED = "The function refuses what comes through this gateway."


@check(
    "gateway-missing",
    Severity.ERROR,
    "The integration exists",
    consequence="Nothing comes through this gateway, and the secret cannot rotate.",
)
def missing(gateway: GatewayFacts) -> Iterator[Found]:
    if isinstance(gateway.saved, Unread) and gateway.saved.missing:
        yield Found(
            f"AWS does not have the integration of {gateway.name}.",
            "Correct its ids, stage, region or role in the registry, or remove it from there.",
            evidence=tuple(f"{name}: {held}" for name, held in gateway.where.items()),
        )
        return
    known(gateway.saved)


@check(
    "gateway-unreadable",
    Severity.WARNING,
    "The integration can be looked at",
    consequence="Its faults stay unseen, and the secret cannot rotate.",
    follows_from=CREDENTIALS,
)
def cannot_be_read(gateway: GatewayFacts) -> Iterator[Found]:
    yield from unreadable(gateway.saved, gateway.name, terraform.reads(gateway))


@check(
    "stage-missing",
    Severity.ERROR,
    "The stage exists",
    consequence="Nothing comes through this gateway, and the secret cannot rotate.",
    follows_from=("gateway-missing",),
)
def stage_missing(gateway: GatewayFacts) -> Iterator[Found]:
    if isinstance(gateway.deployment, Unread) and gateway.deployment.missing:
        yield Found(
            f"The API of {gateway.name} has no such stage.",
            "Correct the stage in the registry, or deploy the API to it.",
            cli=(deployment(gateway),),
            terraform=terraform.deployment(gateway),
        )
        return
    known(gateway.deployment)


@check(
    "integration-type",
    Severity.ERROR,
    "The integration passes requests and answers as they are",
    consequence="The header does not arrive, or what comes back is changed on its way: downloads "
    "are refused, or damaged.",
    follows_from=("gateway-missing",),
)
def integration_type(gateway: GatewayFacts) -> Iterator[Found]:
    saved = known(gateway.saved)
    if not saved.type:
        raise SkippedError("AWS does not tell its type.")
    if saved.type != PASSES:
        yield Found(
            f"{gateway.name} has an integration of type {saved.type}.",
            f"Make it {PASSES}, with the function's URL as its address, and deploy the stage.",
            evidence=(f"type: {saved.type}",),
            cli=(*_proxy_cli(gateway), *_repair(gateway)),
            terraform=terraform.integration(gateway, **_as_proxy(gateway)),
        )


@check(
    "header-unmappable",
    Severity.ERROR,
    "The gateway can map the header",
    consequence="API Gateway keeps this header for itself: it refuses the mapping, or sends "
    "another value.",
)
def header_unmappable(gateway: GatewayFacts) -> Iterator[Found]:
    assert gateway.secret is not None
    header = gateway.secret.header
    if UNMAPPABLE.fullmatch(header):
        yield Found(
            f"API Gateway does not let {gateway.name} set the header {header}.",
            "Give the secret a header of your own, such as x-secret-header, in the registry, in "
            "the mapping and in the function's check.",
            evidence=(f"header: {header}",),
            terraform=terraform.mapping(gateway, "x-secret-header"),
        )


@check(
    "mapping-absent",
    Severity.ERROR,
    "The header is mapped",
    consequence=_REFUSED,
    follows_from=("integration-type", "header-unmappable"),
)
def mapping_absent(gateway: GatewayFacts) -> Iterator[Found]:
    yield from _mapping(gateway, "absent", "does not send {header}", "Map the header to the value.")


@check(
    "mapping-unquoted",
    Severity.ERROR,
    "A REST API's mapping is within single quotes",
    consequence="The gateway sends no such header, and the function refuses.",
)
def mapping_unquoted(gateway: GatewayFacts) -> Iterator[Found]:
    yield from _mapping(
        gateway,
        "unquoted",
        "maps {header} to a text without single quotes",
        "Put the value within single quotes and deploy the stage again.",
    )


@check(
    "mapping-quoted",
    Severity.ERROR,
    "An HTTP API's mapping is without quotes",
    consequence="The quotes are sent as part of the value, and the function refuses.",
)
def mapping_quoted(gateway: GatewayFacts) -> Iterator[Found]:
    yield from _mapping(
        gateway,
        "quoted",
        "sends {header} with its quotes",
        "Take the quotes away: an HTTP API sends the value as it stands.",
    )


@check(
    "mapping-append",
    Severity.ERROR,
    "An HTTP API overwrites the header",
    consequence="What a caller sends stays in front of the value, so that the function refuses.",
)
def mapping_append(gateway: GatewayFacts) -> Iterator[Found]:
    yield from _mapping(
        gateway,
        "append",
        "appends to {header} and keeps what the caller sends",
        "Map overwrite: instead of append:.",
    )


@check(
    "mapping-dynamic",
    Severity.ERROR,
    "The header is mapped to a value",
    consequence="What is sent depends on the request, and may be chosen by the caller.",
)
def mapping_dynamic(gateway: GatewayFacts) -> Iterator[Found]:
    yield from _mapping(
        gateway,
        "dynamic",
        "takes {header} from a variable of the request",
        "Map the header to the value itself.",
    )


@check(
    "mapping-differs", Severity.ERROR, "The gateway sends the current value", consequence=_REFUSED
)
def mapping_differs(gateway: GatewayFacts) -> Iterator[Found]:
    ours, saved = _value(gateway), _mapped(gateway)
    if saved.value is None or not constant_time_compare(saved.value, ours):
        there = fingerprint(saved.value) if saved.value else "none"
        yield Found(
            f"{gateway.name} sends another value than this portal.",
            "Put the current value back.",
            evidence=(f"there: fingerprint {there}", f"here: fingerprint {fingerprint(ours)}"),
            cli=_repair(gateway),
            terraform=_mapping_in_terraform(gateway),
            repair=_put_back(gateway),
        )


@check(
    "mapping-undeployed",
    Severity.ERROR,
    "The stage has what is saved",
    consequence="The stage goes on with what it had when it was deployed, and the function "
    "refuses that.",
    follows_from=("mapping-differs",),
)
def mapping_undeployed(gateway: GatewayFacts) -> Iterator[Found]:
    ours, saved = _value(gateway), _mapped(gateway)
    if saved.variable:
        raise SkippedError("A stage variable holds the value, which needs no deployment.")
    deployed = known(gateway.deployed)
    if deployed is None:
        raise SkippedError("AWS does not tell what the stage has.")
    if deployed.value is None or not constant_time_compare(deployed.value, ours):
        stage = gateway.where.get("stage", "")
        yield Found(
            f"{gateway.name} is saved with the current value, and the stage {stage} is not "
            "deployed with it.",
            "Deploy the stage. That also publishes every other change of this API that waits for "
            "a deployment.",
            evidence=(
                f"deployed: {_told(deployed)}",
                f"here: fingerprint {fingerprint(ours)}",
            ),
            cli=(deployment(gateway), *_repair(gateway)),
            terraform=terraform.deployed(gateway),
            repair=_put_back(gateway),
        )


@check(
    "stage-older",
    Severity.ERROR,
    "The stage was deployed after the last rotation",
    consequence="The stage goes on with the value that was retired, and the function refuses that.",
    follows_from=("mapping-differs", "stage-missing"),
)
def stage_older(gateway: GatewayFacts) -> Iterator[Found]:
    if _mapped(gateway).variable:
        raise SkippedError("A stage variable holds the value, which needs no deployment.")
    if known(gateway.deployed) is not None:
        raise SkippedError("AWS tells what the stage has.")
    _value(gateway)
    made, switched = known(gateway.deployed_at), gateway.switched_at
    if made is None or switched is None:
        raise SkippedError("There is no rotation, or no deployment, that could be compared.")
    if gateway.through == Verdict.ACCEPTED:
        raise SkippedError("Requests through it are accepted.")
    if made < switched - CLOCKS:
        yield Found(
            f"{gateway.name} has a deployment from before the last rotation changed its mapping.",
            "Deploy the stage. That also publishes every other change of this API that waits for "
            "a deployment.",
            evidence=(f"deployed: {made:%F %T %Z}", f"mapping changed: {switched:%F %T %Z}"),
            cli=(deployment(gateway),),
            terraform=terraform.deployed(gateway),
        )


@check(
    "gateway-canary",
    Severity.WARNING,
    "The stage has no canary",
    consequence="A share of the requests goes to another deployment, which keeps its value; a "
    "rotation does not begin.",
    follows_from=("gateway-missing",),
)
def canary(gateway: GatewayFacts) -> Iterator[Found]:
    if known(gateway.canary):
        yield Found(
            f"The stage of {gateway.name} has a canary.",
            "Promote or remove the canary.",
            terraform=terraform.stage(gateway, note="Without the block canary_settings:"),
        )


@check(
    "stage-variable",
    Severity.WARNING,
    "The value is in no stage variable",
    consequence="Everybody who may read the stage reads the value. AWS advises against credentials "
    "there.",
    follows_from=("gateway-missing",),
)
def stage_variable(gateway: GatewayFacts) -> Iterator[Found]:
    variable = known(gateway.saved).variable
    if variable:
        yield Found(
            f"{gateway.name} takes the value from the stage variable {variable}.",
            "Map the header to the value itself, deploy, and remove the variable.",
            evidence=(f"stage variable: {variable}",),
            terraform=_mapping_in_terraform(gateway),
        )


@check(
    "integration-elsewhere",
    Severity.WARNING,
    "The gateway leads to the function",
    consequence="Somebody else than the function receives the secret with each request.",
    follows_from=(*GONE, "gateway-missing", "url-missing"),
)
def integration_elsewhere(gateway: GatewayFacts) -> Iterator[Found]:
    saved, urls = known(gateway.saved), known(gateway.function_urls)
    if not urls:
        raise SkippedError("The secret names no function with a URL.")
    if "${" in saved.uri or not saved.uri.startswith(("http://", "https://")):
        raise SkippedError("Its address is not that of a server.")
    if not any(f"{saved.uri}/".startswith(url) for url in urls):
        yield Found(
            f"{gateway.name} leads to another address than the function's URL.",
            "Set the integration's address to the function's URL and deploy the stage, or register "
            "the function that it leads to.",
            evidence=(f"the function's URL: {', '.join(urls)}",),
            terraform=terraform.integration(gateway, **_address(gateway, urls[0])),
        )


@check(
    "gateway-refused",
    Severity.ERROR,
    "Requests through the gateway are accepted",
    consequence="Whoever downloads through this gateway is refused.",
    follows_from=(
        *GONE, "function-not-active", "url-missing", "url-auth", "permission-url",
        "permission-invoke", "environment-unset", "environment-differs", "gateway-missing",
        "stage-missing", "integration-type", "header-unmappable", "stage-older",
        "mapping-absent", "mapping-unquoted", "mapping-quoted", "mapping-append", "mapping-dynamic",
        "mapping-differs", "mapping-undeployed",
    ),
)  # fmt: skip
def refused(gateway: GatewayFacts) -> Iterator[Found]:
    verdict = known(gateway.through)
    if verdict is None:
        raise SkippedError("Its address is not registered.")
    if verdict == Verdict.UNSURE:
        raise UnsureError("No answer came that would tell.")
    if verdict == Verdict.REFUSED:
        yield Found(
            f"A request through {gateway.name} was refused.",
            "See whether the gateway asks for an authorization, a key or a network of its own, and "
            "whether its address in the registry is that of this method and stage.",
        )


def _mapping(gateway: GatewayFacts, problem: str, does: str, fix: str) -> Iterator[Found]:
    saved = known(gateway.saved)
    if saved.problem == problem:
        assert gateway.secret is not None
        sentence = does.format(header=gateway.secret.header)
        yield Found(
            f"{gateway.name} {sentence}.",
            fix,
            cli=_repair(gateway),
            terraform=_mapping_in_terraform(gateway),
            # A mapped variable may be meant so: then the value would let in who should not be.
            repair=_put_back(gateway) if problem != "dynamic" else None,
        )


def _mapped(gateway: GatewayFacts) -> Mapped:
    saved = known(gateway.saved)
    if saved.problem:
        raise SkippedError("Its mapping has no value that could be compared.")
    return saved


def _value(gateway: GatewayFacts) -> str:
    assert gateway.secret is not None
    if gateway.secret.rotating:
        raise UnsureError(f"A rotation of {gateway.secret.name} is under way.")
    return known(gateway.secret.value)


def _put_back(gateway: GatewayFacts) -> PutBack | None:
    """None where a rotation would have nobody to ask what is accepted."""
    urls, secret = gateway.function_urls, gateway.secret
    if isinstance(urls, Unread) or not urls or secret is None:
        return None
    return PutBack(secret.name) if isinstance(secret.value, str) else None


def _told(mapped: Mapped) -> str:
    return f"fingerprint {fingerprint(mapped.value)}" if mapped.value else mapped.problem


def _repair(gateway: GatewayFacts) -> tuple[str, ...]:
    return (shlex.join(["manage.py", "rotate", gateway.secret_name, "--repair"]),)


def _mapping_in_terraform(gateway: GatewayFacts) -> str:
    assert gateway.secret is not None
    return terraform.mapping(gateway, gateway.secret.header)


def _url(gateway: GatewayFacts) -> str:
    urls = gateway.function_urls
    return urls[0] if urls and not isinstance(urls, Unread) else "FUNCTION_URL"


def _as_proxy(gateway: GatewayFacts) -> dict[str, str]:
    """Arguments of Terraform for an integration that passes things as they are."""
    kind, method = ("type", "integration_http_method")
    if gateway.type == "http":
        kind, method = ("integration_type", "integration_method")
    return {kind: PASSES, method: "GET", **_address(gateway, _url(gateway))}


def _proxy_cli(gateway: GatewayFacts) -> tuple[str, ...]:
    if gateway.type == "http":
        wanted = {"integration-type": PASSES, "integration-uri": _url(gateway)}
        return (integration(gateway, **wanted),)
    # The type of a REST API's integration cannot be changed: it is put anew, without its mapping.
    where = gateway.where
    put = aws(
        gateway, "put-integration", "--resource-id", where["resource_id"],
        "--http-method", where["method"], "--type", PASSES, "--integration-http-method", "GET",
        "--uri", _url(gateway),
    )  # fmt: skip
    # Who puts the mapping back deploys it only where the stage has another one.
    return put, deployment(gateway)


def _address(gateway: GatewayFacts, url: str) -> dict[str, str]:
    return {"uri" if gateway.type == "rest" else "integration_uri": url}


def integration(gateway: GatewayFacts, **wanted: str) -> str:
    """A line that changes the integration."""
    where = gateway.where
    if gateway.type == "http":
        words = [word for name, text in wanted.items() for word in (f"--{name}", text)]
        return aws(
            gateway, "update-integration", "--integration-id", where["integration_id"], *words
        )
    patches = [f"op=replace,path=/{name},value={text}" for name, text in wanted.items()]
    return aws(
        gateway, "update-integration", "--resource-id", where["resource_id"],
        "--http-method", where["method"], "--patch-operations", *patches,
    )  # fmt: skip


def deployment(gateway: GatewayFacts) -> str:
    """A line that deploys the stage."""
    return aws(gateway, "create-deployment", "--stage-name", gateway.where["stage"])


def aws(gateway: GatewayFacts, operation: str, *words: str) -> str:
    """A line of the AWS CLI about this API."""
    service, name = ("apigateway", "--rest-api-id") if gateway.type == "rest" else (
        "apigatewayv2", "--api-id",
    )  # fmt: skip
    identity = gateway.where["api_id"]
    return shlex.join(
        ["aws", service, operation, name, identity, *words, "--region", gateway.region]
    )
