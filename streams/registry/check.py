"""Whether an endpoint that was not read from a file could stand in one."""

from collections.abc import Iterator

from pydantic import ValidationError

from portal import wanted
from streams.access.addresses import address_policy
from streams.models import Endpoint
from streams.net.errors import AddressForbiddenError
from streams.registry.export import described
from streams.registry.spec import EndpointSpec


def problems(endpoint: Endpoint) -> Iterator[tuple[str | None, str]]:
    """What is wrong with it: the field, None for the whole, and a sentence."""
    try:
        EndpointSpec.model_validate(described(endpoint) | {"groups": []})
    except ValidationError as exc:
        for problem in exc.errors(include_input=False, include_url=False):
            place = ".".join(str(step) for step in problem["loc"][1:])
            field = str(problem["loc"][0]) if problem["loc"] else None
            sentence = f"Expected: {wanted.phrase(problem)}"
            yield field, f"{place}: {sentence}" if place else sentence
    if endpoint.url:
        try:
            address_policy().check_url(endpoint.url)
        except AddressForbiddenError as exc:
            yield "url", str(exc)
