"""Objects in S3: each fault of one, in the stand-in for AWS or from S3's words by hand."""

import io
from collections.abc import Callable

import pytest

from sandbox.client import Sandbox
from streams.models import Endpoint
from streams.rotation import engine
from tests.doctor.conftest import examined
from tests.doctor.serving import Handler, send, serving

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
BODY = b"a,b\n1,2\n"
# What S3 says of an object that may be read.
HELD = {"ETag": '"v1"', "x_amz_checksum_crc32": "Xg5djw==", "x_amz_checksum_type": "FULL_OBJECT"}


@pytest.fixture
def s3(account: Sandbox) -> Sandbox:
    """An object that is registered, and nothing else."""
    Endpoint.objects.create(
        slug="object", title="An object", kind="s3", bucket="exports", key="orders.csv",
        region=account.region, auth="sigv4",
    )  # fmt: skip
    return account


def _is_gone(aws: Sandbox) -> None:
    Endpoint.objects.update(key="nothing.csv")


def _bucket_is_gone(aws: Sandbox) -> None:
    Endpoint.objects.update(bucket="no-such-bucket")


def _is_archived(aws: Sandbox) -> None:
    aws.put_object("exports", "old.csv", BODY, StorageClass="GLACIER")
    Endpoint.objects.update(key="old.csv")


def _has_no_checksum_of_the_whole(aws: Sandbox) -> None:
    s3 = aws.client("s3")
    where = {"Bucket": "exports", "Key": "parts.csv"}
    upload = s3.create_multipart_upload(**where, ChecksumAlgorithm="SHA256")["UploadId"]
    part = s3.upload_part(
        **where, UploadId=upload, PartNumber=1, Body=io.BytesIO(BODY), ChecksumAlgorithm="SHA256"
    )
    done = {"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}
    s3.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": [done]})
    Endpoint.objects.update(key="parts.csv")


IN_THE_SANDBOX: list[tuple[str, Callable[[Sandbox], None], int]] = [
    ("object-missing", _is_gone, 1),
    ("object-missing", _bucket_is_gone, 1),
    ("object-archived", _is_archived, 1),
    ("object-no-checksum", _has_no_checksum_of_the_whole, 0),
]


def _refuse(handler: Handler, status: int, code: str, **fields: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    send(handler, status, body, **fields)


def _is_list(handler: Handler) -> bool:
    return "list-type=2" in handler.path


def _object(handler: Handler) -> None:
    """One that may be read."""
    if handler.command == "HEAD":
        send(handler, 200, BODY, **HELD)
    else:
        send(handler, 206, BODY[:1], Content_Range=f"bytes 0-0/{len(BODY)}", **HELD)


def _read_is_refused(handler: Handler) -> None:
    if _is_list(handler):
        send(handler, 200)
    else:
        _refuse(handler, 403, "AccessDenied")


def _everything_is_refused(handler: Handler) -> None:
    _refuse(handler, 403, "AccessDenied")


def _list_is_refused(handler: Handler) -> None:
    if _is_list(handler):
        _refuse(handler, 403, "AccessDenied")
    else:
        _object(handler)


def _key_is_refused(handler: Handler) -> None:
    of_it = {
        "x_amz_server_side_encryption": "aws:kms",
        "x_amz_server_side_encryption_aws_kms_key_id": KEY,
    }
    if _is_list(handler):
        send(handler, 200)
    elif handler.command == "HEAD" and not handler.headers["x-amz-checksum-mode"]:
        send(handler, 200, BODY, ETag='"v1"', **of_it)
    else:
        _refuse(handler, 403, "AccessDenied")


def _key_is_disabled(handler: Handler) -> None:
    _refuse(handler, 400, "KMS.DisabledException")


def _bucket_is_elsewhere(handler: Handler) -> None:
    _refuse(handler, 301, "PermanentRedirect", x_amz_bucket_region="us-west-2")


def _signature_is_for_elsewhere(handler: Handler) -> None:
    _refuse(handler, 400, "AuthorizationHeaderMalformed", x_amz_bucket_region="us-west-2")


BY_HAND: list[tuple[str, Callable[[Handler], None], int, str]] = [
    ("object-refused", _read_is_refused, 1, "s3:GetObject"),
    ("object-refused", _everything_is_refused, 1, "Or there is no such object"),
    ("object-list-refused", _list_is_refused, 0, "s3:ListBucket"),
    ("object-key-refused", _key_is_refused, 1, KEY),
    ("object-key-refused", _key_is_disabled, 1, "KMS.DisabledException"),
    ("object-elsewhere", _bucket_is_elsewhere, 1, "us-west-2"),
    ("object-elsewhere", _signature_is_for_elsewhere, 1, "us-west-2"),
]
FAULTS = [*IN_THE_SANDBOX, *BY_HAND]


@pytest.mark.parametrize(("identity", "break_it", "status"), IN_THE_SANDBOX)
def test_exactly_that_fault_of_an_object_is_found(
    s3: Sandbox, identity: str, break_it: Callable[[Sandbox], None], status: int
) -> None:
    break_it(s3)

    ended, told = examined()

    assert [finding["id"] for finding in told["findings"]] == [identity]
    assert ended == status


@pytest.mark.parametrize(("identity", "answer", "status", "told"), BY_HAND)
def test_what_s3_refuses_is_told_by_its_cause(
    s3: Sandbox, monkeypatch: pytest.MonkeyPatch, identity: str, answer: Callable[[Handler], None],
    status: int, told: str,
) -> None:  # fmt: skip
    with serving(answer) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        engine.account.cache_clear()
        ended, report = examined()

    (finding,) = report["findings"]
    assert (finding["id"], ended) == (identity, status)
    assert told in finding["sentence"] + finding["fix"] + "".join(finding["evidence"])


@pytest.mark.parametrize("body", [BODY, b""])
def test_an_object_that_is_there_and_may_be_read_is_found_well(s3: Sandbox, body: bytes) -> None:
    s3.put_object("exports", "well.csv", body)
    Endpoint.objects.update(key="well.csv")

    _, told = examined()

    assert told["findings"] == []
    assert told["passed"] > 10
