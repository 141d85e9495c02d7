"""Streaming handlers for AWS Lambda in Python, on a runtime of their own.

Standard library only; boto3 where an S3 object is meant (`s3_export`). Here is what every handler
needs. Sources are modules of their own: `files`, `rows`, `paged`, `s3_export`, and `ranged` for
whatever else has offsets. `runtime` runs a handler on Lambda, `server` over plain HTTP.
"""

from spillway_lambda.compression import gzipped
from spillway_lambda.guard import guarded
from spillway_lambda.invocation import Context, Event
from spillway_lambda.streaming import Handler, Head, HttpError, Response, streamify

__all__ = [
    "Context",
    "Event",
    "Handler",
    "Head",
    "HttpError",
    "Response",
    "guarded",
    "gzipped",
    "streamify",
]
