"""Streaming handlers for AWS Lambda in Python, on a runtime of their own.

Standard library only; boto3 where an S3 object is meant (`s3_export`).
"""

from spillway_lambda.guard import guarded
from spillway_lambda.invocation import Context, Event
from spillway_lambda.streaming import Handler, Head, HttpError, Response, streamify

__all__ = ["Context", "Event", "Handler", "Head", "HttpError", "Response", "guarded", "streamify"]
