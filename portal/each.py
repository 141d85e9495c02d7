"""Work on many things, one of which may fail."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


def attempt(things: Iterable[T], act: Callable[[T], object]) -> None:
    """Acts on all of them, whatever becomes of one.

    Raises an `ExceptionGroup` in the end, where it failed with any.
    """
    failures = []
    for thing in things:
        try:
            act(thing)
        except Exception as exc:  # noqa: BLE001 - it is raised in the end
            failures.append(exc)
    if failures:
        raise ExceptionGroup("Some of them failed", failures)
