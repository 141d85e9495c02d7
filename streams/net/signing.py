"""Signatures of AWS (SigV4) on requests that our own client sends.

requests-aws4auth signs; what it is given is in the one form that it, botocore and AWS read alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path
from requests import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests_aws4auth import AWS4Auth


@dataclass(frozen=True)
class Keys:
    """AWS credentials as they are at one moment."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False, default="")


@dataclass(frozen=True)
class Scope:
    """What a signature is good for: `service` is `lambda`, `execute-api` or `s3`."""

    service: str
    region: str


class _Signer(AWS4Auth):  # type: ignore[misc]  # the package has no types
    """The package's signer, with the canonical path and query of botocore.

    Its own collapses `//` in the key of an S3 object, cuts a path at `;`, and decodes a query that
    is not UTF-8.
    """

    def amz_cano_path(self, path: str) -> str:
        if self.service == "s3":
            return path
        return quote(normalize_url_path(path), safe="/~")

    @staticmethod
    def amz_cano_querystring(qs: str) -> str:
        pairs = sorted(part.partition("=")[::2] for part in qs.split("&") if part)
        return "&".join(f"{name}={value}" for name, value in pairs)

    def get_canonical_request(
        self, req: PreparedRequest, cano_headers: str, signed_headers: str
    ) -> str:
        """`CreateCanonicalRequest` of the SigV4 reference, over the URL as it will be sent."""
        parts = urlsplit(str(req.url))
        return "\n".join(
            [
                str(req.method),
                self.amz_cano_path(parts.path or "/"),
                self.amz_cano_querystring(parts.query),
                cano_headers,
                signed_headers,
                str(req.headers["x-amz-content-sha256"]),
            ]
        )


def signed(
    method: str,
    url: str,
    fields: Mapping[str, str],
    *,
    keys: Keys,
    scope: Scope,
    body: bytes = b"",
) -> dict[str, str]:
    """`fields` with what a signed request needs besides; good for some minutes, and this URL alone.

    `url` is normalised as `origins.http.signable` does it. Of `fields`, `x-amz-*` are signed; the
    others (`Range`, conditions) travel beside the signature.
    """
    request = PreparedRequest()
    request.method = method
    request.url = url
    request.headers = CaseInsensitiveDict(fields)
    request.body = body
    # One signer for each request: it keeps the date and the key of the last one.
    signer = _Signer(
        keys.access_key,
        keys.secret_key,
        scope.region,
        scope.service,
        session_token=keys.token or None,
    )
    return dict(signer(request).headers)


def presigned(url: str, query: Mapping[str, str], *, keys: Keys, region: str, seconds: int) -> str:
    """A URL in S3 that anybody may GET for some seconds, with `query` for what S3 is to answer."""
    joined = f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query, quote_via=quote)}"
    request = AWSRequest("GET", joined)
    credentials = Credentials(keys.access_key, keys.secret_key, keys.token or None)
    S3SigV4QueryAuth(credentials, "s3", region, expires=seconds).add_auth(request)
    return str(request.url)
