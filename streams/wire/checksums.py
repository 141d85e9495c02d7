"""Checksums of a whole file that an origin announces."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

# S3's names, strongest first: a digest says more than a CRC, and a longer CRC more than a shorter.
ALGORITHMS = ("sha256", "sha1", "crc64nvme", "crc32c", "crc32")
_SIZES = {"sha256": 32, "sha1": 20, "crc64nvme": 8, "crc32c": 4, "crc32": 4}
_REPR_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):\s*(?=,|$)")


@dataclass(frozen=True)
class Checksum:
    """`algorithm` is one of `ALGORITHMS`, `value` the digest of the whole file."""

    algorithm: str
    value: bytes


def of_s3(headers: Mapping[str, str]) -> Checksum | None:
    """The best checksum that S3 tells of the whole object (`x-amz-checksum-*`).

    A composite one is over the checksums of its parts, and says nothing of the file.
    """
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    for algorithm in ALGORITHMS:
        value = _decoded(headers.get(f"x-amz-checksum-{algorithm}", ""), _SIZES[algorithm])
        if value is not None:
            return Checksum(algorithm, value)
    return None


def of_repr_digest(headers: Mapping[str, str]) -> Checksum | None:
    """The SHA-256 in `Repr-Digest` (RFC 9530 section 3): of the whole file, also in a 206."""
    match = _REPR_DIGEST.search(headers.get("repr-digest", ""))
    value = _decoded(match[1], 32) if match else None
    return Checksum("sha256", value) if value else None


def _decoded(text: str, size: int) -> bytes | None:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value if len(value) == size else None
