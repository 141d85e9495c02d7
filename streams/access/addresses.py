"""Which addresses origins may have, by the operator's settings."""

from django.conf import settings

from streams.net.addresses import AddressPolicy


def address_policy() -> AddressPolicy:
    """What `SPILLWAY_PRIVATE_ORIGINS` allows besides public addresses."""
    return AddressPolicy(tuple(settings.PRIVATE_ORIGINS))
