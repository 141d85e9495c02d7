"""Why a rotation cannot go on.

RotationError
├── DriftError          something holds a value that is neither the old nor the new one
├── UnfitError          what there is cannot be rotated so, and waiting does not help
└── LostLeaseError      another worker has this rotation now

What AWS itself answers is `aws.failures.ControlError`.
"""


class RotationError(Exception):
    """Says what is wrong in a sentence without a value."""


class DriftError(RotationError):
    """Somebody else changed what this rotation is about: nothing of it is overwritten."""


class UnfitError(RotationError):
    """What was changed so far is to be undone."""


class LostLeaseError(RotationError):
    """This process has stopped long enough for another one to take over: it must not go on."""
