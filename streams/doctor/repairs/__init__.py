"""Repairs of what the doctor finds: shown before they are done, audited, and looked at afterwards.

`preview` and `do` take a finding, and `in_order` chooses among many. `current` is the finding as it
is now, for whoever has only its row in a report. What repairs there are stands in `remedies`.
"""

from streams.doctor.repairs.engine import Outcome, State, do, in_order, preview
from streams.doctor.repairs.looking import current
from streams.doctor.repairs.problems import FailedError, NotNowError, RepairError

__all__ = [
    "FailedError",
    "NotNowError",
    "Outcome",
    "RepairError",
    "State",
    "current",
    "do",
    "in_order",
    "preview",
]
