"""Why an endpoint cannot be provisioned.

ProvisioningError
├── UnfitError     what there is cannot be made so: says what to do
├── BusyError      another run provisions at the same time
├── LostTurnError  this run was taken for dead, and another one goes on
├── StoppedError   somebody asked for it to be stopped, or time is up
├── LeftError      something could not be taken back
└── FailedError    it went wrong, and what was done is taken back, or is named

What AWS answers is `aws.failures.ControlError`.
"""


class ProvisioningError(Exception):
    """Says what is wrong in a sentence without a value."""


class UnfitError(ProvisioningError):
    """What is there already does not go together with what was asked for."""


class BusyError(ProvisioningError):
    """Nothing was done: another run is at it."""


class LostTurnError(ProvisioningError):
    """Nothing may be done any more, nor taken back."""


class StoppedError(ProvisioningError):
    """It goes no further, and what was done is to be taken back."""


class LeftError(ProvisioningError):
    """What stays, in a sentence."""


class FailedError(ProvisioningError):
    """`undone` and `left` are sentences: what was taken back, and what could not be."""

    def __init__(self, problem: str, undone: list[str], left: list[str]) -> None:
        super().__init__(problem)
        self.undone = undone
        self.left = left
