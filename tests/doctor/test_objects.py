"""Objects in S3: each fault of one in the stand-in for AWS."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

import sandbox
from sandbox.client import Sandbox
from streams.models import Endpoint
from streams.rotation import engine
from tests.doctor import commands
from tests.doctor.conftest import User, allowing, check_terraform, examined
from tests.functional.conftest import until

BODY = b"a,b\n1,2\n"


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


def _bucket_is_elsewhere(aws: Sandbox) -> None:
    west = replace(aws, region="us-west-2")
    west.put_object("exports-west", "orders.csv", BODY)
    Endpoint.objects.update(bucket="exports-west")


def _encrypted(aws: Sandbox) -> str:
    """The key of an object that is registered then."""
    key = str(aws.client("kms").create_key()["KeyMetadata"]["Arn"])
    aws.put_object("exports", "sealed.csv", BODY, ServerSideEncryption="aws:kms", SSEKMSKeyId=key)
    Endpoint.objects.update(key="sealed.csv")
    return key


def _key_is_disabled(aws: Sandbox) -> None:
    aws.client("kms").disable_key(KeyId=_encrypted(aws))


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
    ("object-elsewhere", _bucket_is_elsewhere, 1),
    ("object-key-refused", _key_is_disabled, 1),
]


def _reading_is_not_allowed(user: User) -> None:
    user.may("read", ("s3:ListBucket", "arn:aws:s3:::exports"))


def _nothing_is_allowed(user: User) -> None:
    user.may_no_more("read")


def _listing_is_not_allowed(user: User) -> None:
    user.may("read", ("s3:GetObject", "arn:aws:s3:::exports/*"))


def _the_key_is_not_allowed(user: User) -> None:
    _encrypted(user.aws)


def _the_bucket_denies_it(user: User) -> None:
    """Whatever its own policies allow: what the advice says besides."""
    name = f"denying-{user.name}"
    user.aws.put_object(name, "orders.csv", BODY)
    user.may("bucket", ("s3:*", f"arn:aws:s3:::{name}/*"), ("s3:*", f"arn:aws:s3:::{name}"))
    denied = json.loads(allowing(("s3:GetObject", f"arn:aws:s3:::{name}/*")))
    denied["Statement"][0] |= {"Effect": "Deny", "Principal": "*"}
    user.aws.client("s3").put_bucket_policy(Bucket=name, Policy=json.dumps(denied))
    Endpoint.objects.update(bucket=name)


TO_A_USER: list[tuple[str, Callable[[User], None], int, str]] = [
    ("object-refused", _reading_is_not_allowed, 1, "s3:GetObject"),
    ("object-refused", _nothing_is_allowed, 1, "Or there is no such object"),
    ("object-refused", _the_bucket_denies_it, 1, "the bucket's policy does not deny it"),
    ("object-list-refused", _listing_is_not_allowed, 0, "s3:ListBucket"),
    ("object-key-refused", _the_key_is_not_allowed, 1, "kms:Decrypt"),
]
FAULTS = [*IN_THE_SANDBOX, *TO_A_USER]


@pytest.mark.parametrize(("identity", "break_it", "status"), IN_THE_SANDBOX)
def test_exactly_that_fault_of_an_object_is_found(
    s3: Sandbox, identity: str, break_it: Callable[[Sandbox], None], status: int
) -> None:
    break_it(s3)

    ended, told = examined()

    assert [finding["id"] for finding in told["findings"]] == [identity]
    assert ended == status


@pytest.mark.parametrize(("identity", "break_it", "status", "told"), TO_A_USER)
def test_what_s3_refuses_is_told_by_its_cause_and_what_is_advised_mends_it(
    s3: Sandbox, user: User, identity: str, break_it: Callable[[User], None], status: int,
    told: str,
) -> None:  # fmt: skip
    user.may_read("exports")
    assert examined()[1]["findings"] == []
    break_it(user)

    ended, report = examined()

    (finding,) = report["findings"]
    assert (finding["id"], ended) == (identity, status)
    assert told in finding["sentence"] + finding["fix"]
    check_terraform(identity, finding["terraform"])
    if break_it is _the_bucket_denies_it:
        s3.client("s3").delete_bucket_policy(Bucket=Endpoint.objects.get().bucket)
    statement = json.loads(finding["fix"].partition("The statement: ")[2])
    user.may("advised", (statement["Action"], statement["Resource"]))
    left = [one["id"] for one in examined()[1]["findings"]]
    # Who could not read it is told only then that it may not list it either.
    assert left == ["object-list-refused"] * (break_it is _nothing_is_allowed)


@pytest.mark.slow
def test_an_archived_object_is_found_well_when_it_was_restored_as_told(s3: Sandbox) -> None:
    _is_archived(s3)
    (finding,) = examined()[1]["findings"]

    commands.do(s3, finding["cli"])

    for still in examined()[1]["findings"]:
        assert (still["fix"].partition(":")[0], still["cli"]) == ("It is being restored", [])
    assert until(lambda: not examined()[1]["findings"], 30)


def test_an_object_that_was_uploaded_in_parts_is_found_well_when_it_was_uploaded_as_one(
    s3: Sandbox,
) -> None:
    _has_no_checksum_of_the_whole(s3)
    (finding,) = examined()[1]["findings"]
    assert "it keeps one of its parts alone" in finding["sentence"]

    s3.put_object("exports", "parts.csv", BODY)

    assert examined()[1]["findings"] == []


def _registered_where_it_is_told_to_be() -> None:
    (finding,) = examined()[1]["findings"]
    assert finding["id"] == "object-elsewhere"
    assert finding["evidence"] == ["region, as S3 tells it: us-west-2"]
    Endpoint.objects.update(region=finding["fix"].rpartition(": ")[2].rstrip("."))


def test_a_bucket_that_is_said_to_be_where_it_is_is_found_well(s3: Sandbox) -> None:
    _bucket_is_elsewhere(s3)

    _registered_where_it_is_told_to_be()

    assert examined()[1]["findings"] == []


def test_a_region_s_own_endpoint_tells_for_which_region_it_wants_a_signature(
    s3: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses instead of redirecting, and names it in its error alone."""
    with sandbox.running(sandbox.Settings(strict_access=True, s3_region="us-west-2")) as west:
        replace(west, region="us-west-2").put_object("exports", "orders.csv", BODY)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", west.url)
        engine.account.cache_clear()

        _registered_where_it_is_told_to_be()

        assert examined()[1]["findings"] == []


@pytest.mark.parametrize("body", [BODY, b""])
def test_an_object_that_is_there_and_may_be_read_is_found_well(s3: Sandbox, body: bytes) -> None:
    s3.put_object("exports", "well.csv", body)
    Endpoint.objects.update(key="well.csv")

    _, told = examined()

    assert told["findings"] == []
    assert told["passed"] > 10
