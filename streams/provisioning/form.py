"""What is wrong with the form of what was asked for."""

from pydantic import ValidationError


def problems(exc: ValidationError) -> list[str]:
    """A sentence for each key, without what stands there."""
    found = exc.errors(include_input=False, include_url=False, include_context=False)
    return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found]
