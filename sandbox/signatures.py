"""AWS signature version 4, from the receiving end."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

CLOCK_SKEW_SECONDS = 300

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/,]+)"
    r"/(?P<service>[^/,]+)/aws4_request\s*,\s*SignedHeaders=(?P<signed>[^,\s]+)\s*,"
    r"\s*Signature=(?P<signature>[0-9a-f]+)"
)


class SignatureRefusedError(Exception):
    """The request is not signed as it must be; the text is what the client is told."""


MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class Credentials:
    """Known keys: a secret and, for temporary ones, a session token."""

    def __init__(self, access_key: str, secret_key: str) -> None:
        self._known: dict[str, tuple[str, str | None]] = {access_key: (secret_key, None)}

    def learn(self, access_key: str, secret_key: str, token: str) -> None:
        self._known[access_key] = (secret_key, token)

    def find(self, access_key: str, token: str | None) -> str:
        """The secret; raises SignatureRefusedError for keys and tokens never handed out."""
        secret, wanted = self._known.get(access_key, ("", None))
        if not secret or (wanted is not None and wanted != token):
            raise SignatureRefusedError("The security token included in the request is invalid.")
        return secret


def verify(
    credentials: Credentials,
    *,
    service: str,
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
) -> str:
    """The access key of a well signed request; raises SignatureRefusedError.

    `target` is the path and query as they came over the wire. `headers` finds names in any case.
    """
    match = _HEADER.match(headers.get("Authorization", ""))
    if match is None:
        raise SignatureRefusedError("Missing Authentication Token")
    secret = credentials.find(match["key"], headers.get("X-Amz-Security-Token"))
    signed = match["signed"].split(";")
    stamp = headers.get("X-Amz-Date", "")
    digest = hashlib.sha256(body).hexdigest()
    if match["service"] != service:
        raise SignatureRefusedError(f"Credential should be scoped to correct service: '{service}'.")
    if "host" not in signed or not _recent(stamp) or stamp[:8] != match["date"]:
        raise SignatureRefusedError("Signature expired or incomplete.")
    # An unsigned payload is refused along with a wrong one.
    if headers.get("X-Amz-Content-Sha256", digest) != digest:
        raise SignatureRefusedError(MISMATCH)
    canonical = "\n".join(
        [
            method,
            *_canonical_target(target),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            match["signed"],
            digest,
        ]
    )
    scope = f"{match['date']}/{match['region']}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(
        hmac.new(key, text.encode(), "sha256").hexdigest(), match["signature"]
    ):
        raise SignatureRefusedError(MISMATCH)
    return match["key"]


def scope_of(headers: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Access key, region and service that a request names in its signature, unverified."""
    match = _HEADER.match(headers.get("Authorization", ""))
    return (match["key"], match["region"], match["service"]) if match else None


def _canonical_target(target: str) -> tuple[str, str]:
    path, _, query = target.partition("?")
    pairs = [part.partition("=") for part in query.split("&") if part]
    encoded = sorted((_encode(name), _encode(value)) for name, _, value in pairs)
    # Every service but S3 signs the path encoded once more than it travels.
    return quote(path or "/", safe="/-_.~"), "&".join(f"{name}={value}" for name, value in encoded)


def _encode(text: str) -> str:
    return quote(unquote(text), safe="-_.~")


def _recent(stamp: str) -> bool:
    try:
        then = datetime.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        return False
    age = datetime.datetime.now(datetime.UTC) - then
    return abs(age.total_seconds()) <= CLOCK_SKEW_SECONDS
