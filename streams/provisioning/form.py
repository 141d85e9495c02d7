"""What is wrong with the form of what was asked for."""

from pydantic import ValidationError

from portal import wanted


def problems(exc: ValidationError) -> list[str]:
    """A sentence for each key, without what stands there."""
    found = exc.errors(include_input=False, include_url=False)
    return [f"{'.'.join(map(str, one['loc']))}: expected {wanted.phrase(one)}" for one in found]
