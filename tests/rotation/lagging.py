"""What a change does not reach at once."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Lagging:
    """A value, and those from before that may still be met."""

    value: Any
    older: list[tuple[Any, float]] = field(default_factory=list)

    def change(self, value: Any, until: float) -> None:
        if value != self.value:
            self.older.append((self.value, until))
            self.value = value

    def met(self, now: float) -> list[Any]:
        self.older = [(value, until) for value, until in self.older if until > now]
        return [self.value, *(value for value, _ in self.older)]
