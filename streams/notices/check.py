"""Whether notices could go where a channel says."""

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from streams.access.addresses import address_policy
from streams.models import Channel
from streams.net.errors import AddressForbiddenError

# The mail server answers for each of them within the time of one attempt.
MOST_RECIPIENTS = 10


def problem(channel: Channel) -> str:
    """What is wrong with its address, in a sentence; empty where nothing is."""
    if channel.kind == Channel.Kind.MAIL:
        return _of_recipients(channel.recipients())
    try:
        address_policy().check_url(channel.address)
    except AddressForbiddenError as exc:
        return str(exc)
    return ""


def _of_recipients(recipients: list[str]) -> str:
    if not 1 <= len(recipients) <= MOST_RECIPIENTS:
        return f"Enter 1 to {MOST_RECIPIENTS} mail addresses, separated by commas."
    for number, recipient in enumerate(recipients, start=1):
        try:
            validate_email(recipient)
        except ValidationError:
            return f"Mail address {number} is none. Write it as ann@example.com."
    return ""
