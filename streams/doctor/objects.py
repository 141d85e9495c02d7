"""What S3 tells of an object besides its bytes, asked as a download asks for them."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

from streams.doctor.facts import ObjectFacts
from streams.origins import S3Origin
from streams.origins.http import USER_AGENT, error_text
from streams.origins.s3 import region_expected
from streams.wire import checksums

_CHECKSUMS = {"x-amz-checksum-mode": "ENABLED"}
_REGION = "x-amz-bucket-region"


async def told(origin: S3Origin) -> ObjectFacts:
    """Raises `OriginError`."""
    url = await origin.address()
    head, fields, _ = await _asked(origin, "HEAD", url, _CHECKSUMS)
    if head != 200:
        # The checksum is encrypted with the object: whoever may not use the key gets the rest.
        head, fields, _ = await _asked(origin, "HEAD", url, {})
    listing, of_bucket, refusal = await _asked(origin, "GET", await _listed(origin), {})
    archived = fields.get("x-amz-archive-status", "") or fields.get("x-amz-storage-class", "")
    restored = 'ongoing-request="false"' in fields.get("x-amz-restore", "")
    # `GLACIER_IR` is read like any other.
    is_archived = not restored and ("ARCHIVE" in archived or archived == "GLACIER")
    return ObjectFacts(
        head=head,
        listing=listing,
        bucket_region=fields.get(_REGION, "")
        or of_bucket.get(_REGION, "")
        or region_expected(refusal),
        archived=archived if is_archived else "",
        restoring='ongoing-request="true"' in fields.get("x-amz-restore", ""),
        kms=fields.get("x-amz-server-side-encryption", "").startswith("aws:kms"),
        kms_key=fields.get("x-amz-server-side-encryption-aws-kms-key-id", ""),
        checksum=checksums.of_s3(fields) is not None,
        composite=fields.get("x-amz-checksum-type") == "COMPOSITE",
    )


async def _listed(origin: S3Origin) -> str:
    """The URL of a list of at most the object itself."""
    bucket = await replace(origin, target=replace(origin.target, key="")).address()
    return f"{bucket}?list-type=2&max-keys=1&prefix={quote(origin.target.key, safe='-_.~')}"


async def _asked(
    origin: S3Origin, method: str, url: str, fields: Mapping[str, str]
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, head and error. Nothing is followed: a redirect tells where the bucket is."""
    sent = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": USER_AGENT, **fields}
    answer = await origin.client.request(method, url, await origin.signed(method, url, sent))
    error = await error_text(answer) if answer.status >= 400 else b""
    answer.body.abort()
    return answer.status, answer.headers, error
