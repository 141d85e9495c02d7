"""Why a finding was not mended.

RepairError
├── NotNowError    nothing was begun: it cannot be done as things stand, or not by this
└── FailedError    it went wrong, and what was done is taken back, or is named
"""

from collections.abc import Sequence


class RepairError(Exception):
    """Says what is wrong in a sentence without a value.

    `undone` and `left` are sentences: what was taken back, and what was not.
    """

    def __init__(self, problem: str, undone: Sequence[str] = (), left: Sequence[str] = ()) -> None:
        super().__init__(problem)
        self.undone = tuple(undone)
        self.left = tuple(left)


class NotNowError(RepairError):
    """Nothing was changed."""


class FailedError(RepairError):
    """What was changed is taken back, except for what is `left`."""
