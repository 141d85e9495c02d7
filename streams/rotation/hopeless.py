"""Whether a rotation can neither be finished nor taken back, so that it may be given up."""

from collections.abc import Iterable

from streams.aws.failures import MissingError
from streams.rotation.environment import Function
from streams.rotation.probing import Probe, Verdict
from streams.rotation.problems import UnfitError
from streams.rotation.run import Run

# What Lambda itself says. A status of 404 alone may be anybody's.
GONE = "ResourceNotFoundException"


def reason(function: Function, origins: Iterable[Probe], run: Run) -> str:
    """Why nobody can, in a sentence: the function was deleted.

    Raises `UnfitError` where somebody may yet, and a `ControlError` where AWS does not tell.
    """
    try:
        function.read()
    except MissingError as exc:
        if exc.aws_code != GONE:
            raise
    else:
        raise UnfitError(f"AWS still has the function {function.name}.")
    for origin in origins:
        # As with credentials of another account, which has no such function.
        if Verdict.ACCEPTED in {origin.verdict(value) for value in (run.old, run.new) if value}:
            raise UnfitError(
                f"AWS has no function {function.name}, but {origin.whom} accepts a value of it: "
                "these may be the credentials of another account, or it is in another region."
            )
    return f"AWS has no function {function.name} any more."
