"""How files come: as they are made or all at once, and in the coding that was asked for."""

from collections.abc import Iterator

from streams.doctor.checks.check import Found, Severity, SkippedError, check
from streams.doctor.checks.endpoints import opened
from streams.doctor.facts import EndpointFacts, Sample
from streams.models import Kind

# Seconds until the first byte from which on it is worth asking why.
SLOW = 2.0
# Bytes. Less is on its way at once, however it was made.
LEAST = 64 * 1024
# What is made while it is sent takes some of that time to be made.
_AT_ONCE = 0.1


def is_slow(sample: Sample | None) -> bool:
    """Whether a second sample is worth its while."""
    return sample is not None and sample.size >= LEAST and sample.first >= SLOW


@check(
    "origin-buffers",
    Severity.WARNING,
    "The file is sent while it is made",
    consequence="Nothing comes until all of it is made: it must fit into the origin's memory and "
    "time, and a client waits with nothing to show.",
    follows_from=("url-buffered",),
)
def origin_buffers(endpoint: EndpointFacts) -> Iterator[Found]:
    sample = _sample(endpoint)
    # Who sends it while it is made cannot tell its length in advance. Who cannot may just begin
    # late: a query that sorts first.
    size = opened(endpoint).size
    if _comes_at_once(sample) and size is not None:
        yield Found(
            f"The origin of {endpoint.endpoint} makes all of its file before it sends the first "
            "byte.",
            "Have the handler send each piece as it is made: the runtimes of functions/ do. If a "
            "proxy stands between, turn its buffering off.",
            evidence=(*_timing(sample), f"Content-Length: {size}"),
        )


@check(
    "first-byte-late",
    Severity.INFO,
    "The first byte comes soon",
    consequence="A client waits that long with nothing to show, and whatever stands between may "
    "give up.",
    follows_from=("origin-buffers",),
)
def first_byte_late(endpoint: EndpointFacts) -> Iterator[Found]:
    sample = _sample(endpoint)
    if is_slow(sample):
        yield Found(
            f"The first byte of {endpoint.endpoint} takes {sample.first:.1f} s, and did so twice.",
            "See what the origin does before it sends anything: it may make all of the file first.",
            evidence=_timing(sample),
        )


@check(
    "gzip-unasked",
    Severity.WARNING,
    "The file comes as it is where that is asked for",
    consequence="Programs that say what they take, and not this, are refused it; others save what "
    "they cannot read, and downloads cannot be resumed.",
)
def gzip_unasked(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = opened(endpoint)
    if endpoint.compressed:
        raise SkippedError("It is asked for gzip.")
    if answer.coding:
        yield Found(
            f"The origin of {endpoint.endpoint} sends {answer.coding[:40]} although it was asked "
            "for the file as it is.",
            "Have it heed Accept-Encoding: identity. Where it keeps the file compressed, register "
            "keep_gzip: true, and the file is saved so.",
            evidence=(f"Content-Encoding: {answer.coding[:40]}", "Accept-Encoding: identity"),
        )


@check(
    "gzip-stripped",
    Severity.WARNING,
    "What is to be kept gzipped comes gzipped",
    consequence="The file is saved as it is, under its plain name, and is as large on its way: "
    "limits of size are met again.",
)
def gzip_stripped(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = opened(endpoint)
    if not endpoint.compressed:
        raise SkippedError("It is not registered with keep_gzip.")
    if not answer.gzipped:
        yield Found(
            f"{endpoint.endpoint} is registered with keep_gzip, and its file comes "
            f"{f'in {answer.coding[:40]}' if answer.coding else 'without Content-Encoding'}.",
            "Have the origin compress it (@gzipped of functions/), see whether something between "
            "takes the gzip off, or remove keep_gzip from the registry.",
            evidence=("Accept-Encoding: gzip", f"Content-Encoding: {answer.coding[:40] or 'none'}"),
        )


@check(
    "gzip-mislabelled",
    Severity.ERROR,
    "What is called gzip is gzip",
    consequence="Browsers refuse the file, and other programs save it under the wrong name.",
)
def gzip_mislabelled(endpoint: EndpointFacts) -> Iterator[Found]:
    answer = opened(endpoint)
    if not (answer.gzipped or answer.coding == "gzip"):
        raise SkippedError("It does not come gzipped.")
    if answer.size != 0 and not answer.looks_gzipped:
        yield Found(
            f"The origin of {endpoint.endpoint} says gzip, and the bytes are none.",
            "Something decompressed them and left the header, or the handler sets the header and "
            "does not compress. Compress, or take Content-Encoding away.",
            evidence=("Content-Encoding: gzip", "first bytes: not 1f 8b"),
        )


def _comes_at_once(sample: Sample) -> bool:
    return is_slow(sample) and sample.rest <= sample.first * _AT_ONCE


def _sample(endpoint: EndpointFacts) -> Sample:
    """Raises `SkippedError` where it cannot tell anything."""
    answer = opened(endpoint)
    if endpoint.kind == Kind.S3:
        raise SkippedError("S3 sends what is there already.")
    if endpoint.kind == Kind.PAGES:
        raise SkippedError("This portal makes the file itself, page by page.")
    if answer.part:
        raise SkippedError("It is asked for one byte, and sends that.")
    if answer.sample is None:
        raise SkippedError("How the file comes was not seen.")
    if answer.sample.size < LEAST:
        raise SkippedError("Too little came to tell.")
    if is_slow(answer.sample) and not answer.sample.warm:
        raise SkippedError("How long it takes cannot be told from the start of a function.")
    return answer.sample


def _timing(sample: Sample) -> tuple[str, ...]:
    return (
        f"first byte: after {sample.first:.1f} s",
        f"the next {sample.size} bytes: within {sample.rest:.2f} s",
    )
