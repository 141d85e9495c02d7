"""Why a notice was not delivered.

DeliveryError       not this time: another attempt follows
└── GoneError           the receiver wants nothing any more
"""


class DeliveryError(Exception):
    """Says what is wrong in a sentence, which repeats nothing that the other side has sent."""

    def __init__(self, sentence: str, *, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds, as the receiver wants it; None where it does not say."""
        super().__init__(sentence)
        self.retry_after = retry_after


class GoneError(DeliveryError):
    """Another attempt would be unwelcome."""
