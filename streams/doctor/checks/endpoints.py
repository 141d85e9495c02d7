"""Endpoints: what a download meets, and who else would get one."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from streams.doctor import terraform
from streams.doctor.checks.accounts import CREDENTIALS
from streams.doctor.checks.check import Found, Severity, SkippedError, UnsureError, check, known
from streams.doctor.checks.functions import GONE, place
from streams.doctor.facts import Answer, EndpointFacts, FunctionFacts, Unread
from streams.doctor.remedies import RaiseTimeout
from streams.models import Kind
from streams.models.secrets import fingerprint
from streams.net.errors import BusyError, RedirectError
from streams.origins.s3 import is_amazon
from streams.rotation.probing import Verdict
from streams.wire.validators import is_strong

# Lambda and API Gateway let this much through at once, and then so many bytes a second.
BURST = 6 << 20
RATE = 2 << 20
# Seconds that one invocation of a function may take.
LONGEST = 900
WITHOUT = "without the header"
EMPTY = "with an empty header"
WRONG = "with a wrong value"

_CAUSES = (
    *GONE, "function-not-active", "function-in-vpc", "url-missing", "url-auth", "url-buffered",
    "permission-url", "permission-invoke", "environment-unset", "environment-differs",
    "url-differs", "gateway-missing", "mapping-absent", "mapping-unquoted",
    "mapping-quoted", "mapping-append", "mapping-dynamic", "mapping-differs", "mapping-undeployed",
    "stage-missing", "secret-without-value", "integration-type", "header-unmappable",
    "stage-older", "gateway-size", *CREDENTIALS,
)  # fmt: skip
# What S3 has of its own to say about a refusal.
_OF_S3 = (
    "object-elsewhere", "object-missing", "object-archived", "object-key-refused", "object-refused",
)  # fmt: skip


@check(
    "url-differs",
    Severity.ERROR,
    "The endpoint's URL is that of its secret's function",
    consequence="Another function than the one whose value is rotated answers, or none: after the "
    "next rotation it refuses at the latest.",
    follows_from=(*GONE, "url-missing"),
)
def url_differs(endpoint: EndpointFacts) -> Iterator[Found]:
    if endpoint.kind != Kind.FUNCTION_URL or not endpoint.functions:
        raise SkippedError("It calls no function URL of a function that is registered.")
    found = [known(function.url) for function in endpoint.functions]
    urls = [url.url for url in found if url]
    if not urls:
        raise SkippedError("The function has no URL.")
    if not any(f"{endpoint.url}/".startswith(url) for url in urls):
        yield Found(
            f"The endpoint {endpoint.endpoint} has another URL than the function "
            f"{endpoint.functions[0].function}.",
            "Copy the function's URL into the registry, or register the function that the URL "
            "belongs to.",
            evidence=(f"registered: {endpoint.url}", f"the function's: {', '.join(urls)}"),
        )


@check(
    "secret-without-value",
    Severity.ERROR,
    "The secret has a value",
    consequence="Nothing is sent, and the origin refuses every download.",
)
def secret_without_value(endpoint: EndpointFacts) -> Iterator[Found]:
    if endpoint.secret is None:
        raise SkippedError("No secret is sent to it.")
    value = endpoint.secret.value
    if isinstance(value, Unread) and value.missing:
        yield Found(
            value.reason,
            "Apply a registry that names one (value_from_env, value_from_file), or let "
            "manage.py provision take over the one that the function holds.",
        )
        return
    known(value)


@check(
    "secret-refused",
    Severity.ERROR,
    "The current value is accepted",
    consequence="Every download fails.",
    follows_from=_CAUSES,
)
def secret_refused(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = _answer(endpoint)
    if endpoint.secret is None:
        raise SkippedError("No secret is sent to it.")
    ours = known(endpoint.secret.value)
    if answer.code == "origin_forbidden":
        yield Found(
            f"The origin of {endpoint.endpoint} refuses the current value of "
            f"{endpoint.secret.name}.",
            "See which value its check compares with, from which variable, and what the header is "
            "called there.",
            evidence=(
                f"header: {endpoint.secret.header}",
                f"sent: fingerprint {fingerprint(ours)}",
            ),
        )


@check(
    "does-not-open",
    Severity.ERROR,
    "A download begins",
    consequence="Every download fails before its first byte.",
    follows_from=(*_CAUSES, *_OF_S3, "redirects-elsewhere"),
)
def does_not_open(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = _answer(endpoint)
    if answer.code and not (answer.code == "origin_forbidden" and endpoint.secret):
        yield Found(
            f"The origin of {endpoint.endpoint} does not open: {answer.sentence}",
            _sentence(answer.hint.removeprefix("Operators: ")),
            evidence=(f"code: {answer.code}",),
        )


@check(
    "redirects-elsewhere",
    Severity.ERROR,
    "The origin answers itself",
    consequence="Every download fails: the secret and the signature are for the address that is "
    "registered, and go nowhere else.",
    follows_from=("object-elsewhere",),
)
def redirects_elsewhere(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = _answer(endpoint)
    if answer.code == RedirectError.code:
        place = answer.leads_to or "a place that it does not name plainly"
        fix = "Register the address that it leads to."
        if _is_s3(answer.leads_to):
            fix = (
                "Have the function answer with the object's place as JSON, and register "
                "follows: s3; or register the object itself, as kind: s3."
            )
        yield Found(
            f"The origin of {endpoint.endpoint} redirects to {place}, where this portal does not "
            "follow.",
            fix,
            evidence=(f"redirects to: {place}", f"registered: {_host(endpoint.url)}"),
        )


def _open(endpoint: EndpointFacts, how: str, fix: str) -> Iterator[Found]:
    wrong = known(endpoint.wrong)
    if wrong is None:
        raise SkippedError("It checks no secret.")
    verdict = wrong[how]
    if verdict == Verdict.UNSURE:
        raise UnsureError("No answer came that would tell.")
    if verdict == Verdict.ACCEPTED:
        yield Found(
            f"The origin of {endpoint.endpoint} lets a request in {how}.",
            fix,
            evidence=(f"asked {how}: not refused",),
        )


_PUBLIC = "Everybody who knows the address downloads the export, without this portal."


@check(
    "open-without-header", Severity.ERROR, "A request without the header is refused",
    consequence=_PUBLIC,
)  # fmt: skip
def open_without_header(endpoint: EndpointFacts) -> Iterator[Found]:
    yield from _open(endpoint, WITHOUT, "Wrap its handler in a check of the header.")


@check(
    "open-with-empty-header", Severity.ERROR, "A request with an empty header is refused",
    consequence=_PUBLIC, follows_from=("open-without-header",),
)  # fmt: skip
def open_with_empty_header(endpoint: EndpointFacts) -> Iterator[Found]:
    yield from _open(
        endpoint,
        EMPTY,
        "Have its handler refuse whenever its own variable or the header is empty, before it "
        "compares them.",
    )


@check(
    "open-with-wrong-header", Severity.ERROR, "A request with a wrong value is refused",
    consequence=_PUBLIC, follows_from=("open-without-header",),
)  # fmt: skip
def open_with_wrong_header(endpoint: EndpointFacts) -> Iterator[Found]:
    yield from _open(
        endpoint, WRONG, "Have its handler compare the header with the value, and not look only "
        "whether there is one.",
    )  # fmt: skip


@check(
    "not-resumable",
    Severity.INFO,
    "Downloads can be resumed",
    consequence="A download that breaks off starts again from its first byte.",
    # What it says of ranges and its tag is part of the body then.
    follows_from=("url-buffered",),
)
def not_resumable(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = opened(endpoint)
    if endpoint.kind == Kind.PAGES:
        raise SkippedError("A file that is stitched from pages has no byte ranges.")
    if endpoint.compressed:
        raise SkippedError("A file that is compressed on its way has no byte ranges.")
    if answer.size == 0:
        raise SkippedError("The file is empty.")
    missing = []
    if not answer.part:
        missing.append("it does not honour byte ranges")
    if not is_strong(answer.etag):
        missing.append("it gives no strong ETag")
    if missing:
        yield Found(
            f"Downloads of {endpoint.endpoint} cannot be resumed: {' and '.join(missing)}.",
            "Have the origin answer Range with 206 and give a strong ETag that changes with the "
            "file. The handlers of functions/ do both.",
            evidence=(f"ETag: {answer.etag or 'none'}",),
        )


@check(
    "function-timeout",
    Severity.WARNING,
    "The function may run long enough for the file",
    consequence="Downloads are cut when the function's time is up.",
    follows_from=GONE,
)
def function_timeout(endpoint: EndpointFacts) -> Iterator[Found]:
    function, answer = _own_function(endpoint), opened(endpoint)
    if answer.size is None:
        raise SkippedError("The origin does not tell the size.")
    size = min(answer.size, endpoint.segment or answer.size)
    seconds, most = max(0, size - BURST) // RATE, known(function.served).timeout
    if most and seconds > most:
        yield Found(
            f"{answer.size} bytes take {seconds} s at Lambda's 2 MiB/s, and the function "
            f"{function.function} is ended after {most} s.",
            "Raise its time-out (900 s at most), or fetch the export in segments.",
            evidence=(f"Timeout: {most} s", f"size: {answer.size} bytes"),
            terraform=terraform.function(function, timeout=900),
            repair=_more_time(function, seconds),
        )


def _host(url: str) -> str:
    """Scheme and host: a query may be somebody's key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else "no address"


def _is_s3(place: str) -> bool:
    host = urlsplit(place).hostname or ""
    return is_amazon(host) and any(label.startswith("s3") for label in host.split("."))


def _more_time(function: FunctionFacts, seconds: int) -> RaiseTimeout | None:
    """A quarter more than it takes at least, and ten seconds; none, where AWS allows no more.

    None for an alias either: a new version would release whatever else has changed.
    """
    if seconds > LONGEST or function.qualifier:
        return None
    wanted = -(-(seconds * 5 // 4 + 10) // 10) * 10
    return RaiseTimeout(place(function), min(LONGEST, wanted))


def _sentence(hint: str) -> str:
    return hint[:1].upper() + hint[1:]


def _answer(endpoint: EndpointFacts) -> Answer:
    answer = known(endpoint.right)
    if answer.code == BusyError.code:
        raise UnsureError(answer.sentence)
    return answer


def opened(endpoint: EndpointFacts) -> Answer:
    """What the origin sent. Raises `SkippedError` where it sent nothing."""
    answer = _answer(endpoint)
    if answer.code:
        raise SkippedError("It does not open.")
    return answer


def _own_function(endpoint: EndpointFacts) -> FunctionFacts:
    if endpoint.kind not in {Kind.FUNCTION_URL, Kind.LAMBDA} or not endpoint.functions:
        raise SkippedError("It calls no function that is registered.")
    return endpoint.functions[0]
