"""Repairs of a function: which tasks, which calls, and what else they touch."""

from collections.abc import Iterator
from typing import assert_never

from streams.doctor.checks import Finding
from streams.doctor.remedies import (
    CloseInvoke,
    MakeUrl,
    OfUrl,
    PermitUrl,
    Place,
    RaiseTimeout,
    StreamUrl,
)
from streams.doctor.repairs.tasks import (
    EndpointsFollow,
    FindingIsGone,
    InvokeIsClosed,
    NothingRotates,
    SecretIsKnown,
    SomeValueIsHeld,
    TimeoutIs,
    UrlAnswers,
    UrlIsThere,
)
from streams.provisioning.function import (
    FunctionIsThere,
    SecretIsChecked,
    UrlIsOpen,
    UrlStreams,
)
from streams.provisioning.request import Request
from streams.provisioning.site import Site, Task


def request(remedy: OfUrl | RaiseTimeout) -> Request:
    """What provisioning would be asked for. Nothing of it is registered."""
    place = remedy.place
    secret = "" if isinstance(remedy, RaiseTimeout) else remedy.secret
    return Request(
        function=place.function, region=place.region, alias=place.qualifier,
        role_arn=place.role_arn, slug="", title="", secret=secret,
    )  # fmt: skip


def tasks(remedy: OfUrl | RaiseTimeout, finding: Finding, site: Site) -> list[Task]:
    """In their order: nothing is made public before it is proven that it checks."""
    return [NothingRotates(site), *_between(remedy, site), FindingIsGone(site, finding)]


def _between(remedy: OfUrl | RaiseTimeout, site: Site) -> Iterator[Task]:
    if isinstance(remedy, RaiseTimeout):
        yield TimeoutIs(site, remedy.seconds)
        return
    yield from (SecretIsKnown(site), FunctionIsThere(site), SomeValueIsHeld(site))
    yield SecretIsChecked(site)
    match remedy:
        case MakeUrl():
            yield from (UrlStreams(site), UrlIsOpen(site), EndpointsFollow(site))
        case StreamUrl():
            yield from (UrlIsThere(site), UrlStreams(site), UrlAnswers(site))
        case PermitUrl():
            yield from (UrlIsThere(site), UrlIsOpen(site))
        case CloseInvoke():
            # AWS would refuse everybody, if the other one went first.
            yield from (UrlIsThere(site), UrlIsOpen(site), InvokeIsClosed(site, remedy.statement))
        case _:
            assert_never(remedy)


def calls(remedy: OfUrl | RaiseTimeout, site: Site) -> Iterator[str]:
    """The calls that change something, as things are now. Reads AWS."""
    function, place = site.function, remedy.place
    if isinstance(remedy, RaiseTimeout):
        yield _call("UpdateFunctionConfiguration", place, f"Timeout={remedy.seconds}")
        return
    if not function.read(place.qualifier).variables.get(site.variable):
        yield _call("UpdateFunctionConfiguration", place, f"Environment with {site.variable}")
        if place.qualifier:
            yield _call("PublishVersion", place)
            yield _call("UpdateAlias", place)
    url = function.url(place.qualifier)
    if isinstance(remedy, MakeUrl) and url is None:
        yield _call("CreateFunctionUrlConfig", place, "AuthType=NONE, InvokeMode=RESPONSE_STREAM")
    elif isinstance(remedy, MakeUrl | StreamUrl):
        yield _call("UpdateFunctionUrlConfig", place, "InvokeMode=RESPONSE_STREAM")
    if not isinstance(remedy, StreamUrl):
        for statement in function.missing_statements(place.qualifier):
            (condition,) = statement.argument.items()
            told = f"StatementId={statement.id}, Action={statement.action}, Principal=*"
            yield _call("AddPermission", place, f"{told}, {condition[0]}={condition[1]}")
    if isinstance(remedy, CloseInvoke):
        yield _call("RemovePermission", place, f"StatementId={remedy.statement}")


def besides(remedy: OfUrl | RaiseTimeout) -> str:
    """What else an operator should know."""
    match remedy:
        case MakeUrl():
            return (
                "A new URL has another address than one that was there before: correct it in a "
                "registry file of yours, and in gateways that lead there. Everybody who knows it "
                "reaches the function, which refuses them itself."
            )
        case PermitUrl():
            return (
                "Everybody who knows the URL reaches the function then, which refuses them itself."
            )
        case StreamUrl():
            return (
                "Whoever calls this URL, other programs among them, gets the answer in chunks, "
                "and with a length only if the handler gives one."
            )
        case CloseInvoke():
            return (
                "Who invokes the function directly, and is permitted to by this statement alone, "
                "is refused then."
            )
        case RaiseTimeout():
            return (
                f"An invocation that hangs is paid for up to {remedy.seconds} s. Execution "
                "environments start anew."
            )
    assert_never(remedy)


def _call(operation: str, place: Place, parameters: str = "") -> str:
    words = [f"FunctionName={place.function}"]
    if place.qualifier and operation not in {"UpdateFunctionConfiguration", "PublishVersion"}:
        name = "Name" if operation == "UpdateAlias" else "Qualifier"
        words.append(f"{name}={place.qualifier}")
    return f"Call: lambda {operation}({', '.join(filter(None, [*words, parameters]))})"
