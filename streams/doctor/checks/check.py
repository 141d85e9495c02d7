"""What a check is, and what it finds."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from streams.doctor.facts import Subject, Unread
from streams.doctor.remedies import Remedy

T = TypeVar("T")


class Severity(StrEnum):
    """An error refuses or endangers downloads, a warning will or may, an info is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class SkippedError(Exception):
    """The check does not apply here: says why in a sentence."""


class UnsureError(SkippedError):
    """The check cannot tell this time: what it found before may still be so."""


@dataclass(frozen=True)
class Found:
    """`evidence` has fingerprints in place of values; `cli` are commands to mend it.

    `terraform` has the arguments that mend it, empty where Terraform has no part in it.
    `repair` is None where nothing is safe to be done at a word.
    """

    sentence: str
    fix: str
    evidence: tuple[str, ...] = ()
    cli: tuple[str, ...] = ()
    terraform: str = ""
    repair: Remedy | None = None


@dataclass(frozen=True)
class Check:
    """`id` is stable, and a heading of docs/doctor.md.

    Where one of `follows_from` is found too, this is its consequence and is not told beside it. A
    cause is never less severe: a warning must not hide an error.
    """

    id: str
    severity: Severity
    title: str
    consequence: str
    of: type[Subject]
    look: Callable[[Any], Iterator[Found]]
    follows_from: frozenset[str]

    def found(self, facts: Subject) -> list[Found]:
        """Raises `SkippedError`."""
        return list(self.look(facts))


@dataclass(frozen=True)
class Finding:
    """One fault of one subject."""

    check: Check
    subject: Subject
    found: Found = field(repr=False)


Look = TypeVar("Look", bound=Callable[[Any], Iterator[Found]])
ALL: list[Check] = []


def check(
    id: str,  # noqa: A002 - what it is
    severity: Severity,
    title: str,
    *,
    consequence: str,
    follows_from: tuple[str, ...] = (),
) -> Callable[[Look], Look]:
    """Registers a function of facts, whose annotation says what they are facts of."""

    def register(look: Look) -> Look:
        (parameter,) = inspect.signature(look).parameters.values()
        ALL.append(
            Check(
                id, severity, title, consequence, parameter.annotation, look,
                frozenset(follows_from),
            )
        )  # fmt: skip
        return look

    return register


def known(fact: T | Unread) -> T:
    """The fact, where it could be read. Raises `SkippedError`: it is missing, or nobody knows."""
    if isinstance(fact, Unread):
        raise SkippedError(fact.reason) if fact.missing else UnsureError(fact.reason)
    return fact


def unreadable(fact: object, name: str, terraform: str) -> Iterator[Found]:
    """Finds what a subject hangs on and what cannot be read, whether it is there or not."""
    if isinstance(fact, Unread) and not fact.missing:
        yield Found(
            f"What AWS has of {name} cannot be read: {fact.reason}",
            "Let this portal's identity, or the role in the registry, read it: docs/doctor.md has "
            "the permissions. If AWS did not answer, run the doctor again.",
            terraform=terraform,
        )
