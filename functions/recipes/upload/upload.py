"""Makes the export once, puts it into S3, and answers with its place."""

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from spillway_lambda import Context, Event, Response, guarded, rows

# Of one part; two of them are in memory.
PART = 8 * 1024 * 1024

s3: Any = boto3.client("s3")


@guarded
def handler(event: Event, context: Context) -> Response:
    """Where today's export is: `{"bucket", "key", "version_id"}`, made if it is not there yet."""
    bucket = os.environ["UPLOAD_BUCKET"]
    # The key says what is in it, so that a second request finds what the first one made.
    key = f"ledger/{datetime.now(UTC):%Y-%m-%d}.csv"
    found = _found(bucket, key) or _made(bucket, key)
    place = {"bucket": bucket, "key": key, "version_id": found.get("VersionId")}
    body = json.dumps({name: value for name, value in place.items() if value}).encode()
    return Response(200, {"Content-Type": "application/json"}, body=[body])


def export() -> Iterator[bytes]:
    """A sample; put your own source here."""
    entries = ((number, number * 31 % 9973, "booked") for number in range(600_000))
    return rows.as_csv(entries, ["entry", "amount", "state"])


def _found(bucket: str, key: str) -> dict[str, Any] | None:
    try:
        head: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key)
        return head
    except ClientError as exc:
        if exc.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise


def _made(bucket: str, key: str) -> dict[str, Any]:
    # An upload in parts appears when it is complete, or never: nobody reads half of it.
    s3.upload_fileobj(
        # Buffered, because boto3 takes a short read for the end.
        io.BufferedReader(Readable(export()), PART),
        bucket,
        key,
        ExtraArgs={"ContentType": rows.CSV},
        Config=TransferConfig(
            multipart_threshold=PART, multipart_chunksize=PART, use_threads=False
        ),
    )
    head: dict[str, Any] = s3.head_object(Bucket=bucket, Key=key)
    return head


class Readable(io.RawIOBase):
    """Pieces as a file that can be read once, from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
