"""Objects in S3: whether they are there, may be read, and can be proven whole."""

import json
import shlex
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from streams.aws.identity import partition
from streams.doctor import terraform
from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.facts import Answer, EndpointFacts, ObjectFacts
from streams.models import Kind
from streams.net.errors import AwsDeniedError, NotFoundError, RedirectError

_NOT_FOUND = 404
_DENIED = 403
_FOUND = 200
# Bytes: what S3 copies in one request.
_LARGEST_COPY = 5 << 30
# AWS's words for a refusal that permissions explain. Others are about the signature.
_REFUSALS = frozenset({"AccessDenied", "AllAccessDisabled", ""})


@check(
    "object-elsewhere",
    Severity.ERROR,
    "The bucket is in the registered region",
    consequence="S3 sends the portal elsewhere, where it does not follow: every download fails.",
)
def region(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    elsewhere = told.bucket_region not in {"", endpoint.region}
    if elsewhere and answer.code == RedirectError.code:
        yield Found(
            f"The bucket of {endpoint.place} is in {told.bucket_region}, and {endpoint.endpoint} "
            f"is registered with {endpoint.region}.",
            f"Register the endpoint with region: {told.bucket_region}.",
            evidence=(f"region, as S3 tells it: {told.bucket_region}",),
        )


@check(
    "object-missing",
    Severity.ERROR,
    "The object is there",
    consequence="Every download fails.",
)
def missing(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    if answer.code == NotFoundError.code:
        what = "bucket" if told.listing == _NOT_FOUND else "object"
        yield Found(
            f"There is no such {what} as {endpoint.place} names.",
            "Correct bucket and key in the registry, or see why the object was not put there.",
            evidence=(f"GetObject: {answer.code}", f"ListBucket: {told.listing}"),
        )


@check(
    "object-archived",
    Severity.ERROR,
    "The object is not archived",
    consequence="S3 gives no byte of it until it is restored, which takes minutes to days.",
)
def archived(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    if told.archived or answer.aws_code == "InvalidObjectState":
        bucket, _, key = endpoint.place.partition("/")
        request = json.dumps({"Days": 7, "GlacierJobParameters": {"Tier": "Standard"}})
        restores = _aws(
            endpoint, "restore-object", "--bucket", bucket, "--key", key,
            "--restore-request", request,
        )  # fmt: skip
        fix = "It is being restored: wait." if told.restoring else "Restore it, and wait."
        yield Found(
            f"{endpoint.place} is archived ({told.archived or 'InvalidObjectState'}).",
            f"{fix} A rule of the bucket's life cycle moves it again: keep exports out of it.",
            evidence=(f"storage class: {told.archived or 'not told'}",),
            cli=() if told.restoring else (restores,),
        )


@check(
    "object-key-refused",
    Severity.ERROR,
    "The object can be decrypted",
    consequence="S3 refuses to give the object out: every download fails.",
)
def key_refused(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    of_the_key = answer.aws_code.startswith("KMS.")
    # What is not encrypted of it may be read, and the rest may not.
    half = answer.code == AwsDeniedError.code and told.head == _FOUND and told.kms
    if of_the_key or (half and answer.aws_code in _REFUSALS):
        key = told.kms_key or "its KMS key"
        yield Found(
            f"{endpoint.place} is encrypted with {key}, which this portal cannot use for it.",
            "Allow kms:Decrypt on that key, in the key's policy too, and see that the key is "
            f"enabled. The statement: {_policy('kms:Decrypt', told.kms_key or '*')}",
            terraform=_allowing("kms:Decrypt", told.kms_key or "*"),
            evidence=(
                f"GetObject: {answer.aws_code or _DENIED}", f"HeadObject: {told.head}",
                f"key: {key}",
            ),
        )  # fmt: skip


@check(
    "object-refused",
    Severity.ERROR,
    "The object may be read",
    consequence="Every download fails.",
    follows_from=("object-elsewhere", "object-archived", "object-key-refused"),
)
def refused(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    if answer.code != AwsDeniedError.code or answer.aws_code not in _REFUSALS:
        return
    unless = (
        ""
        if told.listing == _FOUND
        else " Or there is no such object: who may not list a bucket is not told."
    )
    yield Found(
        f"S3 does not let this portal read {endpoint.place}.{unless}",
        "Allow s3:GetObject to this portal's identity, or to the endpoint's role, and see that "
        "the bucket's policy does not deny it. The statement: "
        f"{_policy('s3:GetObject', _arn(endpoint, endpoint.place))}",
        terraform=_allowing("s3:GetObject", _arn(endpoint, endpoint.place)),
        evidence=(f"GetObject: {answer.aws_code or _DENIED}", f"ListBucket: {told.listing}"),
    )


@check(
    "object-list-refused",
    Severity.INFO,
    "A missing object is told from a forbidden one",
    consequence="Should the object be missing one day, S3 will call it forbidden, and so will this "
    "portal.",
)
def list_refused(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    if answer.code:
        raise SkippedError("It does not open.")
    if told.listing == _DENIED:
        bucket = endpoint.place.partition("/")[0]
        yield Found(
            f"This portal may not list the bucket {bucket}.",
            "Allow s3:ListBucket on the bucket. The statement: "
            f"{_policy('s3:ListBucket', _arn(endpoint, bucket))}",
            terraform=_allowing("s3:ListBucket", _arn(endpoint, bucket)),
            evidence=(f"ListBucket: {told.listing}",),
        )


@check(
    "object-no-checksum",
    Severity.INFO,
    "S3 keeps a checksum of the whole object",
    consequence="A download is proven by its length, and not by its content.",
)
def no_checksum(endpoint: EndpointFacts) -> Iterator[Found]:
    answer, told = _asked(endpoint)
    if answer.code:
        raise SkippedError("It does not open.")
    if told.head != _FOUND:
        raise SkippedError("S3 does not tell what it keeps of the object.")
    if not told.checksum:
        kept = "one of its parts alone" if told.composite else "none"
        bucket, _, key = endpoint.place.partition("/")
        copies = _aws(
            endpoint, "copy-object", "--bucket", bucket, "--key", key,
            "--copy-source", quote(endpoint.place), "--checksum-algorithm", "CRC64NVME",
        )  # fmt: skip
        yield Found(
            f"S3 keeps no checksum of the whole of {endpoint.place}: it keeps {kept}.",
            "Upload it with a checksum of type FULL_OBJECT (CRC64NVME is what new tools send), or "
            "copy it onto itself, which makes one.",
            evidence=(f"x-amz-checksum-type: {'COMPOSITE' if told.composite else 'none'}",),
            cli=(copies,) if (answer.size or 0) <= _LARGEST_COPY else (),
        )


def _asked(endpoint: EndpointFacts) -> tuple[Answer, ObjectFacts]:
    """Raises `SkippedError`."""
    if endpoint.kind != Kind.S3:
        raise SkippedError("It is no object in S3.")
    told = known(endpoint.object)
    assert told is not None
    return known(endpoint.right), told


def _arn(endpoint: EndpointFacts, name: str) -> str:
    return f"arn:{partition(endpoint.region)}:s3:::{name}"


def _allowing(action: str, resource: str) -> str:
    return terraform.allowing("spillway_reads", [action], [resource])


def _policy(action: str, resource: str) -> str:
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps(statement)


def _aws(endpoint: EndpointFacts, operation: str, *words: str) -> str:
    return shlex.join(["aws", "s3api", operation, *words, "--region", endpoint.region])
