"""Whatever changes something records it here."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from streams.models import User

logger = logging.getLogger(__name__)

NOTHING: Mapping[str, str] = MappingProxyType({})


def record(
    action: str, *, by: User | None, what: str, details: Mapping[str, str] = NOTHING
) -> None:
    """Writes one entry. `by` is None where nobody who signed in asked for it."""
    actor = by.get_username() if by else ""
    logger.info(action, extra={"actor": actor, "what": what, "details": dict(details)})
