"""What is taken back, in which order, and what becomes of the rest when something cannot be."""

import pytest
from django.db import IntegrityError

from streams.aws.failures import DeniedError, ThrottledError
from streams.provisioning.problems import LeftError, LostTurnError, UnfitError
from streams.provisioning.undo import Undo


class Acts:
    """Remembers what was done, and fails where it is told to, once for each time."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __call__(self, name: str, *failures: Exception) -> "Act":
        return Act(self, name, list(failures))


class Act:
    def __init__(self, acts: Acts, name: str, failures: list[Exception]) -> None:
        self.acts, self.name, self.failures = acts, name, failures

    def __call__(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.acts.done.append(self.name)


def test_the_last_is_taken_back_first() -> None:
    undo, acts = Undo(), Acts()
    undo.add("one", acts("one"), last=True)
    undo.add("two", acts("two"))

    assert undo.run() == (["two.", "one."], [])
    assert acts.done == ["two", "one"]
    assert undo.run() == ([], [])


def test_what_fails_for_a_while_is_tried_again() -> None:
    undo, acts = Undo(), Acts()
    undo.add("one", acts("one", ThrottledError(retry_after=0.01)))

    assert undo.run() == (["one."], [])


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (DeniedError("DeleteStage"), "AWS does not allow it (DeleteStage)."),
        (LeftError("Others use it."), "Others use it."),
        (UnfitError("It does not end."), "It does not end."),
        (IntegrityError("a value"), "The database does not allow it (IntegrityError)."),
    ],
)
def test_the_rest_is_taken_back_all_the_same_and_the_last_is_kept(
    failure: Exception, told: str
) -> None:
    undo, acts = Undo(), Acts()
    undo.add("secret", acts("secret"), last=True)
    undo.add("one", acts("one"))
    undo.add("two", acts("two", failure))

    done, left = undo.run()

    assert done == ["one."]
    assert left == [
        f"Not done: two. {told}",
        "Kept, since the above still needs it: secret.",
    ]
    assert acts.done == ["one"]


def test_nothing_is_taken_back_by_a_run_that_has_lost_its_turn() -> None:
    undo, acts = Undo(), Acts()
    undo.add("one", acts("one"))
    undo.add("two", acts("two", LostTurnError("gone")))

    with pytest.raises(LostTurnError):
        undo.run()

    assert acts.done == []
