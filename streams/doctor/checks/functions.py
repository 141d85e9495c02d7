"""Functions: whether they run, may be called, and hold the value that they check."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.utils.crypto import constant_time_compare

from streams.aws.functions import PUBLIC, Alias, Configuration, Statement, UrlConfig
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
from streams.doctor.facts import EndpointFacts, FunctionFacts, Unread
from streams.doctor.remedies import CloseInvoke, MakeUrl, PermitUrl, Place, PutBack, StreamUrl
from streams.models import Kind
from streams.models.secrets import fingerprint

# What everything else of a function hangs on.
GONE = ("function-missing", "alias-missing")

# The whole configuration has the secret's value.
_QUERY = ("--output", "text", "--query")


def aws(function: FunctionFacts, operation: str, *words: str, qualified: bool = True) -> str:
    """A line of the AWS CLI."""
    line = ["aws", "lambda", operation, "--function-name", function.function]
    if function.qualifier and qualified:
        line += ["--qualifier", function.qualifier]
    return shlex.join([*line, *words, "--region", function.region])


@check(
    "function-missing",
    Severity.ERROR,
    "The function exists",
    consequence="No download from it succeeds, and its secret cannot rotate.",
)
def missing(function: FunctionFacts) -> Iterator[Found]:
    if isinstance(function.latest, Unread) and function.latest.missing:
        yield Found(
            f"There is no {function.name} in {function.region}.",
            "Correct its name, region or role in the registry, or deploy it again.",
        )
        return
    known(function.latest)


@check(
    "function-unreadable",
    Severity.WARNING,
    "The function can be looked at",
    consequence="Its faults stay unseen, and its secret cannot rotate.",
    follows_from=CREDENTIALS,
)
def cannot_be_read(function: FunctionFacts) -> Iterator[Found]:
    if function.secret is None:
        # To call it is all that it takes, and nothing of it rotates.
        known(function.latest)
    yield from unreadable(function.latest, f"the {function.name}", terraform.reads(function))


@check(
    "alias-missing",
    Severity.ERROR,
    "The function's alias exists",
    consequence="Whoever calls the function by this alias is refused.",
)
def alias_missing(function: FunctionFacts) -> Iterator[Found]:
    if not function.qualifier:
        raise SkippedError("It is called without an alias.")
    if isinstance(function.alias, Unread) and function.alias.missing:
        yield Found(
            f"The function {function.function} has no alias {function.qualifier}.",
            "Make the alias, or correct its name in the registry.",
            terraform=terraform.newest(function),
        )
        return
    known(function.alias)


@check(
    "function-not-active",
    Severity.ERROR,
    "The function can run",
    consequence="Every request to it fails.",
    follows_from=GONE,
)
def not_active(function: FunctionFacts) -> Iterator[Found]:
    served = known(function.served)
    if served.state == "Pending":
        raise UnsureError("AWS is making it ready.")
    # One that nobody has called for weeks is `Inactive`, and wakes up when it is called.
    if served.state == "Failed":
        yield Found(
            f"AWS could not make the {function.name} ready: it is in state Failed.",
            "Mend what AWS names as the reason (its role, its KMS key, its image or its network), "
            "and deploy the function again.",
            evidence=(f"StateReasonCode: {served.state_reason or 'not told'}",),
            cli=(aws(function, "get-function-configuration", *_QUERY, _why("State")),),
        )


@check(
    "function-update-failed",
    Severity.ERROR,
    "The function's last update succeeded",
    consequence="It runs with what it had before, and a rotation cannot change it.",
    follows_from=GONE,
)
def update_failed(function: FunctionFacts) -> Iterator[Found]:
    latest = known(function.latest)
    if latest.update_status == "Failed":
        reason = latest.update_reason or "not told"
        yield Found(
            f"The last update of the function {function.function} failed.",
            "Mend what AWS names as the reason, and update the function once more.",
            evidence=(f"LastUpdateStatusReasonCode: {reason}",),
            cli=(
                aws(
                    function, "get-function-configuration", *_QUERY, _why("LastUpdateStatus"),
                    qualified=False,
                ),
            ),
        )  # fmt: skip


def _why(of: str) -> str:
    return f"[{of}, {of}ReasonCode, {of}Reason]"


@check(
    "function-in-vpc",
    Severity.ERROR,
    "A function that streams from its URL is in no VPC",
    consequence="The URL buffers: at most 6 MB, and no byte before the last one is made.",
    follows_from=GONE,
)
def in_vpc(function: FunctionFacts) -> Iterator[Found]:
    _needs_url(function)
    if known(function.served).in_vpc and function.streams:
        yield Found(
            f"The {function.name} is in a VPC, where a function URL does not stream.",
            "Take it out of the VPC, or register the endpoint as kind lambda, which is invoked "
            "directly and streams there too.",
            terraform="# Without the block vpc_config:\n" + terraform.function(function),
        )


@check(
    "url-missing",
    Severity.ERROR,
    "The function has a URL",
    consequence="Nobody reaches it over HTTP, and a rotation could not ask it what it accepts.",
    follows_from=GONE,
)
def url_missing(function: FunctionFacts) -> Iterator[Found]:
    _needs_url(function)
    if known(function.url) is None:
        yield Found(
            f"The {function.name} has no function URL.",
            "Make one that streams. manage.py provision does it, and asks first whether the "
            "function checks its secret.",
            cli=(
                aws(
                    function, "create-function-url-config", "--auth-type", function.url_auth,
                    "--invoke-mode", "RESPONSE_STREAM",
                ),
            ),
            terraform=terraform.url(
                function, authorization_type=function.url_auth, invoke_mode="RESPONSE_STREAM"
            ),
            repair=MakeUrl(*provable) if (provable := _provable(function)) else None,
        )  # fmt: skip


@check(
    "url-auth",
    Severity.ERROR,
    "The URL's auth type is what callers expect",
    consequence="AWS refuses unsigned requests to AWS_IAM. With NONE, it is the function alone "
    "that keeps strangers out.",
    follows_from=GONE,
)
def url_auth(function: FunctionFacts) -> Iterator[Found]:
    url = _url(function)
    if url.auth_type != function.url_auth:
        yield Found(
            f"The URL of the {function.name} has auth type {url.auth_type}, and this portal "
            f"expects {function.url_auth}.",
            "Change the auth of the endpoint in the registry, or the auth type of the URL. NONE is "
            "safe only where the function checks a secret.",
            evidence=(f"AuthType: {url.auth_type}",),
            terraform=terraform.url(function, authorization_type=function.url_auth),
        )


@check(
    "url-buffered",
    Severity.ERROR,
    "The URL streams",
    consequence="Files beyond 6 MB fail, and smaller ones come only when they are finished.",
    follows_from=GONE,
)
def url_buffered(function: FunctionFacts) -> Iterator[Found]:
    url = _url(function)
    if not function.streams:
        raise SkippedError("No endpoint streams from its URL.")
    if url.invoke_mode != "RESPONSE_STREAM":
        yield Found(
            f"The URL of the {function.name} is in invoke mode {url.invoke_mode}.",
            "Set the invoke mode to RESPONSE_STREAM.",
            evidence=(f"InvokeMode: {url.invoke_mode}",),
            cli=(aws(function, "update-function-url-config", "--invoke-mode", "RESPONSE_STREAM"),),
            terraform=terraform.url(function, invoke_mode="RESPONSE_STREAM"),
            repair=StreamUrl(*provable)
            if (provable := _provable(function)) and url.auth_type == "NONE"
            else None,
        )


def _permission(function: FunctionFacts, statement: Statement, *words: str) -> Iterator[Found]:
    held = _statements_of_open_url(function)
    if statement.is_in(held) or any(_opens(one, statement.action) for one in held):
        return
    there = ", ".join(sorted(str(one.get("Sid", "?")) for one in held)) or "none"
    yield Found(
        f"The policy of the {function.name} lacks the statement that lets everybody call "
        f"{statement.action} {_ON[statement.key]}.",
        "Add the statement, on the same alias that the URL belongs to. A public function URL needs "
        "two of them since October 2025.",
        evidence=(f"Statements there: {there}",),
        cli=(
            aws(
                function, "add-permission", "--statement-id", statement.id,
                "--action", statement.action, "--principal", "*", *words,
            ),
        ),
        terraform=terraform.permission(function, statement),
        repair=PermitUrl(*provable) if (provable := _provable(function)) else None,
    )  # fmt: skip


_ON = {
    "lambda:FunctionUrlAuthType": "where the URL's auth type is NONE",
    "lambda:InvokedViaFunctionUrl": "by way of the URL",
}
_REFUSES = "AWS answers every request to the URL with 403, before the function runs."


@check(
    "permission-url",
    Severity.ERROR,
    "Everybody may call the public URL",
    consequence=_REFUSES,
    follows_from=GONE,
)
def permission_url(function: FunctionFacts) -> Iterator[Found]:
    yield from _permission(function, PUBLIC[0], "--function-url-auth-type", "NONE")


@check(
    "permission-invoke",
    Severity.ERROR,
    "Everybody may invoke the function by way of its URL",
    consequence=_REFUSES,
    follows_from=GONE,
)
def permission_invoke(function: FunctionFacts) -> Iterator[Found]:
    yield from _permission(function, PUBLIC[1], "--invoked-via-function-url")


@check(
    "invoke-open",
    Severity.ERROR,
    "Nobody else may invoke the function directly",
    consequence="Every AWS account may invoke the function, with any event it likes: past the URL, "
    "and past whatever stands in front of it.",
    follows_from=GONE,
)
def invoke_open(function: FunctionFacts) -> Iterator[Found]:
    for statement in known(function.statements):
        if _opens(statement, "lambda:InvokeFunction"):
            identity = str(statement.get("Sid", ""))
            yield Found(
                f"The policy of the {function.name} lets everybody call lambda:InvokeFunction, "
                "without a condition.",
                "Add the statement with the condition lambda:InvokedViaFunctionUrl, and then "
                "remove this one.",
                evidence=(f"Statement: {identity or 'without a name'}",),
                cli=(aws(function, "remove-permission", "--statement-id", identity),),
                terraform=f"# In place of the statement {identity or 'without a name'}:\n"
                + terraform.permission(function, PUBLIC[1]),
                repair=CloseInvoke(*provable, identity)
                if (provable := _provable(function)) and _is_plain(function, statement)
                else None,
            )


@check(
    "environment-unset",
    Severity.ERROR,
    "The variable with the secret is set",
    consequence="A careful handler refuses everybody; a naive one, which compares with an empty "
    "value, lets everybody in who sends an empty header.",
    follows_from=GONE,
)
def environment_unset(function: FunctionFacts) -> Iterator[Found]:
    for where, held in _environments(function):
        if not held.variables.get(function.variable):
            yield Found(
                f"{function.variable} is not set in {where} of the function {function.function}.",
                "Put the current value there.",
                cli=_repair(function),
                terraform=terraform.environment(function),
                repair=_put_back(function),
            )


@check(
    "environment-differs",
    Severity.ERROR,
    "The variable holds the current value",
    consequence="The function refuses what this portal and its gateways send.",
    follows_from=GONE,
)
def environment_differs(function: FunctionFacts) -> Iterator[Found]:
    ours = _value(function)
    for where, held in _environments(function):
        there = held.variables.get(function.variable, "")
        if there and not constant_time_compare(there, ours):
            yield Found(
                f"{function.variable} in {where} of the function {function.function} holds another "
                "value than this portal.",
                "Put the current value back there, or take over the one that is there by applying "
                "a registry that names it.",
                evidence=(
                    f"there: fingerprint {fingerprint(there)}",
                    f"here: fingerprint {fingerprint(ours)}",
                ),
                cli=_repair(function),
                terraform=terraform.environment(function),
                repair=_put_back(function),
            )


@check(
    "environment-next",
    Severity.WARNING,
    "No second value is left over",
    consequence="The function accepts a second value besides the current one, which should have "
    "ended with the rotation that brought it.",
    follows_from=GONE,
)
def environment_next(function: FunctionFacts) -> Iterator[Found]:
    _value(function)
    name = f"{function.variable}_NEXT"
    for where, held in _environments(function):
        if left := held.variables.get(name):
            yield Found(
                f"{name} is set in {where} of the function {function.function}, although no "
                "rotation is under way.",
                f"Remove {name}.",
                evidence=(f"there: fingerprint {fingerprint(left)}",),
                cli=_repair(function),
                terraform=terraform.environment(function),
                repair=_put_back(function),
            )


@check(
    "alias-weighted",
    Severity.WARNING,
    "The alias has one version",
    consequence="Some requests meet another version, which may hold another value; a rotation "
    "does not begin.",
    follows_from=GONE,
)
def alias_weighted(function: FunctionFacts) -> Iterator[Found]:
    alias = _alias(function)
    if alias.weighted:
        yield Found(
            f"The alias {function.qualifier} of the function {function.function} sends a share of "
            "its requests to a second version.",
            "Finish or take back what is being released by degrees.",
            evidence=(f"FunctionVersion: {alias.version}",),
            terraform=terraform.alias(function, note="Without the block routing_config:"),
        )


@check(
    "alias-behind",
    Severity.WARNING,
    "The alias has what was deployed last",
    consequence="What was deployed last does not run; where it has other code or variables, a "
    "rotation through this alias does not begin.",
    follows_from=GONE,
)
def alias_behind(function: FunctionFacts) -> Iterator[Found]:
    alias = _alias(function)
    if alias.weighted:
        raise SkippedError("It is being released by degrees.")
    if not function.holds:
        raise SkippedError("It is not the one of its pair that is known to be in use.")
    if function.secret and function.secret.rotating:
        raise UnsureError(f"A rotation of {function.secret.name} is under way.")
    differs = list(_unreleased(function, known(function.latest), known(function.served)))
    if differs:
        yield Found(
            f"The alias {function.qualifier} of the function {function.function} has version "
            f"{alias.version}, from which $LATEST differs: {', '.join(differs)}.",
            "Publish a version of what was deployed and have the alias point to it, or deploy what "
            "the alias has.",
            evidence=(f"FunctionVersion: {alias.version}",),
            cli=(
                aws(function, "publish-version", qualified=False),
                aws(
                    function, "update-alias", "--name", function.qualifier,
                    "--function-version", "NEW_VERSION", qualified=False,
                ),
            ),
            terraform=terraform.newest(function),
        )  # fmt: skip


@check(
    "export-public",
    Severity.INFO,
    "Who knows the address alone gets nothing",
    consequence="Everybody who knows the address downloads the export, past this portal and its "
    "groups.",
)
def public(endpoint: EndpointFacts) -> Iterator[Found]:
    url = _open_url(endpoint)
    if not url:
        return
    function = endpoint.functions[0]
    yield Found(
        f"The export {endpoint.endpoint} can be downloaded from the URL of its function by "
        "everybody.",
        "If it is not meant for everybody, give the URL auth type AWS_IAM and the endpoint auth: "
        "sigv4, or let the function check a secret.",
        evidence=(f"asked without anything: {url}",),
        terraform=terraform.url(function, authorization_type="AWS_IAM")
        if function.function
        else "",
    )


def _open_url(endpoint: EndpointFacts) -> str:
    """The address at which it was given to us for nothing; empty where it was not."""
    if endpoint.public:
        if known(endpoint.right).code:
            raise SkippedError("It does not open.")
        return endpoint.url
    if endpoint.kind != Kind.LAMBDA:
        raise SkippedError("It is no function's URL that is asked without anything.")
    function = endpoint.functions[0]
    if not known(function.open):
        return ""
    url = known(function.url)
    return url.url if url else ""


def _alias(function: FunctionFacts) -> Alias:
    alias = known(function.alias)
    if alias is None:
        raise SkippedError("It is called without an alias.")
    return alias


def _unreleased(
    function: FunctionFacts, latest: Configuration, served: Configuration
) -> Iterator[str]:
    """What differs, but for the secret: rotations release that by themselves."""
    if latest.code_sha256 != served.code_sha256:
        yield "code"
    ours = {function.variable, f"{function.variable}_NEXT"} if function.variable else set()
    variables = {name for name, _ in latest.variables.items() ^ served.variables.items()} - ours
    if variables:
        yield f"variables ({', '.join(sorted(variables))})"
    yield from (
        name
        for name in sorted(latest.shape.keys() & served.shape.keys())
        if latest.shape[name] != served.shape[name]
    )


def _needs_url(function: FunctionFacts) -> None:
    if not function.url_auth:
        raise SkippedError("Nothing that is registered calls it by a URL.")


def _url(function: FunctionFacts) -> UrlConfig:
    _needs_url(function)
    url = known(function.url)
    if url is None:
        raise SkippedError("It has no URL.")
    return url


def _statements_of_open_url(function: FunctionFacts) -> tuple[Mapping[str, Any], ...]:
    if _url(function).auth_type != "NONE":
        raise SkippedError("Its URL asks for a signature.")
    return known(function.statements)


def _opens(statement: Mapping[str, Any], action: str) -> bool:
    """Whether it lets everybody do this without any condition."""
    actions = statement.get("Action")
    named: Iterable[Any] = actions if isinstance(actions, list) else [actions]
    return (
        statement.get("Effect") == "Allow"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and not statement.get("Condition")
        and any(one in (action, "lambda:*", "*") for one in named)
    )


def _value(function: FunctionFacts) -> str:
    """What it must hold. Raises `SkippedError` where that is not settled."""
    secret = function.secret
    if secret is None:
        raise SkippedError("It checks no secret that is registered.")
    if secret.rotating:
        raise UnsureError(f"A rotation of {secret.name} is under way.")
    if not function.holds:
        raise SkippedError("It is not the one of its pair that is known to be in use.")
    return known(secret.value)


def _environments(function: FunctionFacts) -> Iterator[tuple[str, Configuration]]:
    """What callers meet, and what the next version would be made of."""
    _value(function)
    if function.qualifier:
        yield f"the alias {function.qualifier}", known(function.served)
    if not function.paired:
        yield "$LATEST", known(function.latest)


def place(function: FunctionFacts) -> Place:
    """Where it is, for a repair."""
    return Place(function.function, function.qualifier, function.region, function.role_arn)


def _provable(function: FunctionFacts) -> tuple[Place, str] | None:
    """Where it is and its secret; None where it cannot be proven that it checks that one.

    Nothing that does not check is made public, and of two versions one might not.
    """
    secret, served, alias = function.secret, function.served, function.alias
    if secret is None or not isinstance(secret.value, str):
        return None
    if function.url_auth != "NONE" or not function.holds:
        return None
    if isinstance(served, Unread) or served.in_vpc:
        return None
    if isinstance(alias, Unread) or (isinstance(alias, Alias) and alias.weighted):
        return None
    return place(function), secret.name


def _is_plain(function: FunctionFacts, statement: Mapping[str, Any]) -> bool:
    """Whether it permits nothing besides, so that a public URL does without it."""
    url = function.url
    return (
        isinstance(url, UrlConfig)
        and url.auth_type == "NONE"
        and bool(statement.get("Sid"))
        and statement.get("Action") == "lambda:InvokeFunction"
    )


def _put_back(function: FunctionFacts) -> PutBack | None:
    """None where a rotation could not ask the function what it accepts."""
    return PutBack(function.secret_name) if isinstance(function.url, UrlConfig) else None


def _repair(function: FunctionFacts) -> tuple[str, ...]:
    return (shlex.join(["manage.py", "rotate", function.secret_name, "--repair"]),)
