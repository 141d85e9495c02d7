"""What the steps of one rotation see and remember."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Wait:
    """Not yet: come again in `seconds`."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class Waits:
    """How long changes take to reach everywhere, in seconds.

    `settle`: old execution environments of a function. `propagation`: a deployed stage. `drain`:
    requests under way, and a call of a worker that has lost its lease. `consumers`: what readers of
    Secrets Manager keep.
    """

    settle: float
    propagation: float
    drain: float
    consumers: float = 0.0


class Notes(Protocol):
    """What a rotation remembers from tick to tick: instants and ids, never a value.

    A change is stored at once, and only as long as this worker has the rotation: else it raises
    `LostLeaseError`.
    """

    def get(self, key: str) -> Any: ...
    def put(self, key: str, value: Any) -> None: ...
    def drop(self, prefix: str) -> None: ...


class Forgotten:
    """Notes of what is not stored: of a preview, or a look."""

    def __init__(self) -> None:
        self._notes: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self._notes.get(key)

    def put(self, key: str, value: Any) -> None:
        self._notes[key] = value

    def drop(self, prefix: str) -> None:
        self._notes = {key: held for key, held in self._notes.items() if not key.startswith(prefix)}


@dataclass
class Run:
    """One rotation, in the hands of one worker. `clock` tells seconds of the database's time."""

    old: str = field(repr=False)
    # Empty until it is generated.
    new: str = field(repr=False)
    notes: Notes
    waits: Waits
    clock: Callable[[], float]
    say: Callable[[str], None]

    @property
    def repairs(self) -> bool:
        """Whether it puts the current value back, and overwrites what it finds."""
        return self.old == self.new

    def label(self, value: str) -> str:
        """What notes call a value."""
        if self.repairs:
            return "current" if value == self.old else "found"
        return "new" if value == self.new else "old"

    def since(self, key: str, seconds: float, reason: str) -> Wait | None:
        """None once `seconds` have passed since this was first asked."""
        begun = self.notes.get(key)
        if begun is None:
            begun = self.clock()
            self.notes.put(key, begun)
        left = begun + seconds - self.clock()
        return Wait(left, reason) if left > 0 else None
