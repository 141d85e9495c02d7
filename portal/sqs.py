"""Amazon SQS as the broker (`CELERY_BROKER_URL=sqs://`), by boto3 alone.

Kombu's own polls by way of pycurl, and makes queues and topics for what workers tell each other.
A doorbell needs neither.
"""

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from kombu.exceptions import OperationalError
from kombu.transport import SQS, virtual


class Channel(SQS.Channel):
    """Says of a message that SQS did not take what other brokers say."""

    def _put(self, queue: str, message: Any, **kwargs: Any) -> None:
        try:
            super()._put(queue, message, **kwargs)
        except (BotoCoreError, ClientError) as exc:
            raise OperationalError(type(exc).__name__) from exc


class Transport(SQS.Transport):
    """What `sqs:` means in `CELERY_BROKER_URL`."""

    Channel = Channel
    # SQS answers, and refuses: it may be allowed by the time that it is tried again.
    connection_errors = (*SQS.Transport.connection_errors, ClientError)
    # No worker sends to all others.
    implements = virtual.Transport.implements.extend(
        asynchronous=False, exchange_type=frozenset({"direct", "topic"})
    )


def options(url: str) -> dict[str, Any]:
    """How it is used. The path of the URL names the portal, where several share an account."""
    name = url.partition("://")[2].strip("/") or "spillway"
    return {
        "queue_name_prefix": f"{name}-",
        # Seconds for which SQS holds an answer back until there is a message.
        "wait_time_seconds": 5,
        # A task that takes longer comes again, and finds that its row is leased.
        "visibility_timeout": 900,
        "client-config": {
            "connect_timeout": 4,
            "read_timeout": 8,
            "retries": {"total_max_attempts": 1},
        },
    }
