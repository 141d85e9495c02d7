"""A model of Secrets Manager, and of the consumers who keep what they have read there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.aws import failures
from streams.aws.secretsmanager import CURRENT, PENDING, PREVIOUS, Labels
from tests.rotation.lagging import Lagging

if TYPE_CHECKING:
    from tests.rotation.world import World

# Seconds for which a consumer keeps a value.
CACHE = 40.0


@dataclass
class ModelStore:
    """One secret. Consumers all over read `CURRENT`, each at a time of its own.

    With `there` the old value is in it, under an id that is not ours, and one from before.
    """

    world: World
    there: bool = True
    name: str = "spillway/orders"
    versions: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.there:
            self.versions = {"id-before": "before", "id-found": "old"}
            self.labels = {CURRENT: "id-found", PREVIOUS: "id-before"}
        self.read_by_consumers = Lagging(self._current())
        self.as_before = dict(self.labels)

    def presented(self, now: float) -> set[str]:
        return {value for value in self.read_by_consumers.met(now) if value}

    def value_of(self, label: str) -> str | None:
        version = self.labels.get(label)
        return self.versions[version] if version else None

    # `store.Store`

    def read(self) -> Labels | None:
        return self.world.call(
            "DescribeSecret", lambda: Labels(dict(self.labels)) if self.versions else None
        )

    def value(self, version: str) -> str | None:
        return self.world.call("GetSecretValue", lambda: self.versions[version])

    def create(self, value: str, *, version: str) -> None:
        self.world.mutate("CreateSecret", lambda: self._create(value, version))

    def put(self, value: str, *, version: str, label: str) -> None:
        self.world.mutate("PutSecretValue", lambda: self._put(value, version, label))

    def move(self, label: str, *, to: str, away: str) -> None:
        self.world.mutate("UpdateSecretVersionStage", lambda: self._move(label, to, away))

    def remove(self, label: str, *, away: str) -> None:
        self.world.mutate("UpdateSecretVersionStage", lambda: self._move(label, None, away))

    def _create(self, value: str, version: str) -> None:
        if self.versions:
            raise failures.ConflictError
        self._put(value, version, CURRENT)

    def _put(self, value: str, version: str, label: str) -> None:
        assert value in self.world.stored, "AWS holds a value that the database does not"
        if version in self.versions:
            return
        self.versions[version] = value
        self.labels[label] = version
        self._spread()

    def _move(self, label: str, to: str | None, away: str) -> None:
        if self.labels.get(label) != away:
            raise failures.StaleError
        if to is None:
            del self.labels[label]
        else:
            self.labels[label] = to
            if label == CURRENT:
                self.labels[PREVIOUS] = away
        self._spread()

    def _spread(self) -> None:
        self.read_by_consumers.change(self._current(), self.world.now + CACHE)

    def _current(self) -> str | None:
        return self.value_of(CURRENT)

    # What tests ask.

    def assert_rotated(self) -> None:
        assert self.value_of(CURRENT) == "new"
        assert self.value_of(PREVIOUS) == "old"
        assert PENDING not in self.labels

    def assert_as_before(self) -> None:
        if self.there:
            assert self.labels == self.as_before
        else:
            assert self.labels.keys() <= {CURRENT}
            assert self.value_of(CURRENT) in {None, "old"}
