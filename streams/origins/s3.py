"""An object in S3, read with the portal's own signature, or a role's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar
from urllib.parse import quote, urlsplit, urlunsplit

from streams.net import errors, signing
from streams.origins.base import Credential, Opened, Wanted
from streams.origins.http import Answer, HttpOrigin, error_text
from streams.wire import checksums, headers
from streams.wire.checksums import Checksum

_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")
_REGION = re.compile(rb"<Region>([a-z]{2}(?:-[a-z]+)+-\d)</Region>")
_MISSING = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket"})
_BUSY = frozenset({"SlowDown", "ServiceUnavailable", "RequestTimeout", "InternalError"})
# A name that stands for itself as a host under a wildcard certificate.
_PLAIN_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class S3Origin(HttpOrigin):
    """`GetObject`: ranged, pinned, with the checksum that S3 keeps."""

    service: ClassVar[str] = "s3"

    async def open(self, wanted: Wanted, credential: Credential | None) -> Opened:
        """`credential` is none of S3's, and goes nowhere."""
        # A query of the client's would change what S3 does; nothing in it can mean the object.
        url = await self.address(wanted.version)
        return await self.open_url(url, replace(wanted, query=""), None)

    async def address(self, version: str = "") -> str:
        """The object's URL: by host name, or by path where the host is not Amazon's.

        With `version` it means that version and no other.
        """
        target = self.target
        endpoint = await self.account.endpoint("s3", region=target.region, role_arn=target.role_arn)
        parts = urlsplit(endpoint)
        host, path = parts.netloc, f"/{quote(target.key, safe='/-_.~')}"
        if is_amazon(parts.hostname or "") and _PLAIN_BUCKET.fullmatch(target.bucket):
            host = f"{target.bucket}.{host}"
        else:
            path = f"/{target.bucket}{path}"
        query = f"versionId={quote(version, safe='-_.~')}" if version else ""
        return urlunsplit((parts.scheme, host, path, query, ""))

    async def presigned(self, version: str, answer: Mapping[str, str], seconds: int) -> str:
        """A URL that fetches the object from S3 itself; begun within `seconds`, it may take longer.

        `answer` are the fields that S3 is to answer with: `Content-Type` and the like.
        """
        target = self.target
        keys = await self.account.keys(region=target.region, role_arn=target.role_arn)
        return signing.presigned(
            await self.address(version),
            {f"response-{name.lower()}": value for name, value in answer.items()},
            keys=keys,
            region=target.region,
            seconds=seconds,
        )

    async def checksum(self, opened: Opened) -> Checksum | None:
        """S3 tells it with a whole object alone: a part needs a request of its own."""
        if opened.checksum is not None or opened.range is None:
            return opened.checksum
        head = await self.open(Wanted(head_only=True, version=opened.version), None)
        head.body.abort()
        return head.checksum if head.etag == opened.etag else None

    def request_fields(self, wanted: Wanted, credential: Credential | None) -> dict[str, str]:
        fields = super().request_fields(wanted, None)
        fields["x-amz-checksum-mode"] = "ENABLED"
        if tag := fields.pop("If-Range", None):
            # Documented for S3, where If-Range is not, and 412 says outright what has happened.
            fields["If-Match"] = tag
        return fields

    def kept_until(self, fields: Mapping[str, str]) -> datetime | None:
        return headers.of_expiration(fields.get("x-amz-expiration", ""))

    def announced(self, fields: Mapping[str, str]) -> Checksum | None:
        return checksums.of_s3(fields)

    def redirected(self, url: str, answer: Answer) -> str:
        region = answer.headers.get("x-amz-bucket-region", "")
        known = re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region)
        raise _elsewhere(region if known else "")

    async def refusal(self, answer: Answer, wanted: Wanted) -> errors.OriginError:
        if answer.status not in {400, 403, 404, 500, 503}:
            return await super().refusal(answer, wanted)
        text = await error_text(answer)
        if region := region_expected(text):
            return _elsewhere(region)
        match = _CODE.search(text)
        code = match[1].decode() if match else ""
        if code in _MISSING or answer.status == 404:
            return errors.NotFoundError()
        if code in _BUSY or answer.status in {500, 503}:
            return errors.BusyServerError(answer.status)
        # An identity that may not list the bucket gets 403 for an object that is not there.
        return errors.AwsDeniedError(code)


def region_expected(error: bytes) -> str:
    """The region that a signature should have been for, where S3 says that it was for another."""
    match = _REGION.search(error)
    return match[1].decode() if match else ""


def _elsewhere(region: str) -> errors.RedirectError:
    return errors.RedirectError(
        f"The bucket is in {region}, and this export says another region."
        if region
        else "S3 answers that the bucket is elsewhere."
    )


def is_amazon(host: str) -> bool:
    """Whether a host is one of AWS's own (in any of its partitions)."""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"))
