"""Secrets Manager as a sender: other consumers read the value there, keep it, and present it.

They cannot be asked. So the label that they read moves last of all senders, while the function
accepts both values, and the rotation waits until what they keep must have run out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from streams.aws.failures import MissingError, StaleError
from streams.aws.secretsmanager import CURRENT, PENDING, PREVIOUS, Labels
from streams.rotation.problems import DriftError, UnfitError
from streams.rotation.run import Run, Wait

# Seconds from a change to its reading back.
AGAIN = 0.3
# How often AWS is asked to put `PREVIOUS` back before it is left where it is.
TRIES = 3


class Store(Protocol):
    """`aws.secretsmanager.StoredSecret`, or a model of it."""

    @property
    def name(self) -> str: ...
    def read(self) -> Labels | None: ...
    def value(self, version: str) -> str | None: ...
    def create(self, value: str, *, version: str) -> None: ...
    def put(self, value: str, *, version: str, label: str) -> None: ...
    def move(self, label: str, *, to: str, away: str) -> None: ...
    def remove(self, label: str, *, away: str) -> None: ...


class Ids(Protocol):
    """What Secrets Manager calls our versions: stored before it first hears of them."""

    def external_id(self, *, old: bool) -> str:
        """Empty for a new version that there is not yet."""


@dataclass(frozen=True)
class StoreSender:
    """One secret of Secrets Manager, for all who read it."""

    store: Store
    ids: Ids
    key: str = "store"

    @property
    def name(self) -> str:
        return f"Secrets Manager {self.store.name}"

    def check(self, run: Run) -> str:
        """What is there. Raises where that is none of ours, or its labels could not be moved."""
        labels = self._read(run)
        if labels is None and self.store.name.startswith("arn:"):
            raise UnfitError(f"{self.name}: there is none, and none can be made by an ARN.")
        if labels is None or CURRENT not in labels.versions:
            return f"{self.name}: has no value yet, and will get the current one."
        return f"{self.name}: holds the current value."

    def keep(self, run: Run) -> Wait | None:
        """One action towards a secret whose current version is the old value, with the new one."""
        labels = self._read(run)
        if labels is None:
            self.store.create(run.old, version=self.ids.external_id(old=True))
            run.say(f"{self.name}: created with the old value.")
            return Wait(AGAIN, "The secret is read back.")
        if CURRENT not in labels.versions:
            old = self.ids.external_id(old=True)
            self.store.put(run.old, version=old, label=CURRENT)
            run.say(f"{self.name}: has got the old value.")
            return Wait(AGAIN, "The secret is read back.")
        new = self.ids.external_id(old=False)
        if new not in {labels.versions.get(PENDING), labels.versions[CURRENT]}:
            self._remember(run, labels)
            run.notes.put(f"{self.key} put", run.clock())
            self.store.put(run.new, version=new, label=PENDING)
            run.say(f"{self.name}: the new value is {PENDING}.")
        return None

    def forget(self, run: Run) -> Wait | None:
        """One action towards a secret in which the new value has no label, and gets none."""
        new = self.ids.external_id(old=False)
        labels = self.store.read()
        # Nobody reads one that is to be deleted, and nothing of it can be changed.
        if labels and not labels.deleted and labels.versions.get(PENDING) == new:
            self.store.remove(PENDING, away=new)
            run.say(f"{self.name}: {PENDING} is taken from the new value.")
            return Wait(AGAIN, "The labels are read back.")
        put = run.notes.get(f"{self.key} put")
        left = 0.0 if put is None else put + run.waits.drain - run.clock()
        return Wait(left, "A call that was given up may still arrive.") if left > 0 else None

    def bring(self, run: Run, wanted: str) -> Wait | None:
        """One action towards consumers who all present `wanted`."""
        labels = self._present(run)
        if self.store.value(labels.versions[CURRENT]) != wanted:
            self._move(run, labels, wanted)
            return Wait(AGAIN, "The labels are read back.")
        if wanted == run.old and run.notes.get(f"{self.key} moved") is None:
            # The label was never moved: nobody can have read the new value.
            return None
        tidied = self._drop_pending(labels) if wanted == run.new else self._tidied(run, labels)
        if tidied:
            return Wait(AGAIN, "The labels are read back.")
        return self._spread(run, wanted)

    def differences(self, run: Run, value: str) -> Iterator[str]:
        """How it differs from a secret whose current version is `value`, in sentences."""
        try:
            labels = self._read(run)
        except UnfitError as exc:
            yield str(exc)
            return
        if labels is None or CURRENT not in labels.versions:
            yield f"{self.name} has no value."
        elif self.store.value(labels.versions[CURRENT]) != value:
            yield f"{self.name} has another than the current value as {CURRENT}."

    def restore(self, run: Run) -> Wait | None:
        """One action towards consumers who all present the current value, whatever they do now."""
        ours, labels = self.ids.external_id(old=True), self._read(run)
        if labels is None:
            self.store.create(run.old, version=ours)
        elif CURRENT not in labels.versions:
            self.store.put(run.old, version=ours, label=CURRENT)
        elif self.store.value(labels.versions[CURRENT]) == run.old:
            return self._restored(run, labels)
        elif ours not in labels.versions.values():
            self.store.put(run.old, version=ours, label=PENDING)
        else:
            run.notes.put(f"{self.key} moved", True)
            self.store.move(CURRENT, to=ours, away=labels.versions[CURRENT])
            run.say(f"{self.name}: {CURRENT} is on the current value.")
        return Wait(AGAIN, "The labels are read back.")

    def _restored(self, run: Run, labels: Labels) -> Wait | None:
        if self._drop_pending(labels):
            return Wait(AGAIN, "The labels are read back.")
        if run.notes.get(f"{self.key} moved") is None:
            return None
        return self._spread(run, run.old)

    def _spread(self, run: Run, wanted: str) -> Wait | None:
        return run.since(
            f"{self.key} live {run.label(wanted)}",
            run.waits.consumers,
            f"{self.name}: consumers may go on with the value that they have read.",
        )

    def sends(self, run: Run, wanted: str) -> bool:
        """Whether who reads it now gets `wanted`."""
        return self.store.value(self._present(run).versions[CURRENT]) == wanted

    def _move(self, run: Run, labels: Labels, wanted: str) -> None:
        run.notes.drop(f"{self.key} live ")
        run.notes.put(f"{self.key} moved", True)
        to = self._before(run)[0] if wanted == run.old else self.ids.external_id(old=False)
        self.store.move(CURRENT, to=to, away=labels.versions[CURRENT])
        run.say(f"{self.name}: {CURRENT} is on the {run.label(wanted)} value.")

    def _remember(self, run: Run, labels: Labels) -> None:
        """Which versions have `CURRENT` and `PREVIOUS` before the rotation."""
        if run.notes.get(f"{self.key} before") is None:
            before = [labels.versions[CURRENT], labels.versions.get(PREVIOUS, "")]
            run.notes.put(f"{self.key} before", before)

    def _before(self, run: Run) -> tuple[str, str]:
        """The same, as remembered: the old value may have come there under an id of its own."""
        current, previous = run.notes.get(f"{self.key} before") or ("", "")
        return current or self.ids.external_id(old=True), previous

    def _drop_pending(self, labels: Labels) -> bool:
        """Whether there was something to do."""
        current = labels.versions[CURRENT]
        if labels.versions.get(PENDING) != current:
            return False
        self.store.remove(PENDING, away=current)
        return True

    def _tidied(self, run: Run, labels: Labels) -> bool:
        """Puts `PREVIOUS` back to where it was. Whether there was something to do."""
        new = self.ids.external_id(old=False)
        refused = run.notes.get(f"{self.key} refused") or 0
        if labels.versions.get(PREVIOUS) != new or refused == TRIES:
            return False
        try:
            self._give_previous(self._before(run)[1], new)
        except StaleError:
            # Consumers do not read this label: it does not hold up a rotation.
            run.notes.put(f"{self.key} refused", refused + 1)
            if refused + 1 < TRIES:
                raise
            run.say(f"{self.name}: AWS leaves {PREVIOUS} on the new value.")
        return True

    def _give_previous(self, version: str, new: str) -> None:
        if version:
            try:
                self.store.move(PREVIOUS, to=version, away=new)
            except MissingError:
                # AWS deletes versions without a label after a while.
                version = ""
        if not version:
            self.store.remove(PREVIOUS, away=new)

    def _present(self, run: Run) -> Labels:
        labels = self._read(run)
        if labels is None or CURRENT not in labels.versions:
            raise DriftError(f"{self.name} has no value any more.")
        return labels

    def _read(self, run: Run) -> Labels | None:
        """Raises where it cannot be changed, or holds what is none of ours."""
        labels = self.store.read()
        if labels is None:
            return None
        if labels.deleted:
            raise UnfitError(f"{self.name} is scheduled for deletion. Restore it first.")
        if labels.rotates:
            raise UnfitError(f"{self.name} is rotated by AWS itself. Cancel that rotation first.")
        if labels.replica:
            raise UnfitError(f"{self.name} is a replica. Name the region of its primary secret.")
        for label in (CURRENT, PENDING) if not run.repairs else ():
            self._check_ours(run, labels, label)
        return labels

    def _check_ours(self, run: Run, labels: Labels, label: str) -> None:
        version = labels.versions.get(label)
        if version is None:
            return
        if self.store.value(version) not in {run.old, run.new} - {""}:
            raise DriftError(
                f"{label} of {self.name} is on a value that is neither the old nor the new one."
            )


@dataclass(frozen=True)
class KeepInStore:
    """The old value is in Secrets Manager and the new one beside it, where nobody reads it yet."""

    store: StoreSender
    name: str = "put in store"

    def do(self, run: Run) -> Wait | None:
        return self.store.keep(run)

    def undo(self, run: Run) -> Wait | None:
        return self.store.forget(run)


@dataclass(frozen=True)
class SwitchStore:
    """Who reads Secrets Manager presents the new value, and nobody any more the old one."""

    store: StoreSender
    name: str = "switch store"

    @property
    def title(self) -> str:
        return self.store.name

    def do(self, run: Run) -> Wait | None:
        return self.store.bring(run, run.new)

    def undo(self, run: Run) -> Wait | None:
        return self.store.bring(run, run.old)

    def sends(self, run: Run, wanted: str) -> bool:
        return self.store.sends(run, wanted)
