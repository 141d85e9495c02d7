"""The steps by which an endpoint is added, and what each of them asks."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _

from streams.models import Kind

PROVISION = "provision"
NEW = "new"


class Step(StrEnum):
    """In their order. Not every endpoint needs all of them."""

    KIND = "kind"
    ADDRESS = "address"
    PLACE = "place"
    AUTH = "auth"
    SECRET = "secret"  # noqa: S105 - its name
    ABOUT = "about"
    CHECK = "check"


TITLES = {
    Step.KIND: _("What it is"),
    Step.ADDRESS: _("Its address"),
    Step.PLACE: _("Where exactly"),
    Step.AUTH: _("How the portal proves itself"),
    Step.SECRET: _("A new secret"),
    Step.ABOUT: _("What users see"),
    Step.CHECK: _("Check and save"),
}
# What of its place an endpoint of each kind has; the first ones it needs.
PLACES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Kind.FUNCTION_URL: (("url",), ("function", "region")),
    Kind.LAMBDA: (("function", "region"), ()),
    Kind.GATEWAY: (("url",), ("region",)),
    Kind.S3: (("bucket", "key", "region"), ()),
    Kind.HTTP: (("url",), ()),
    PROVISION: (
        ("function", "region"),
        ("alias", "gateway", "api_id", "path", "stage", "gateway_url"),
    ),
}  # fmt: skip
SIGNED = {Kind.LAMBDA, Kind.S3}


def steps_of(data: Mapping[str, Any]) -> list[Step]:
    """Those of what was chosen so far."""
    kind, left_out = data.get("kind"), set()
    if kind == PROVISION or kind in SIGNED:
        left_out.add(Step.AUTH)
    if Step.AUTH in left_out or data.get("proof") != NEW:
        left_out.add(Step.SECRET)
    return [step for step in Step if step not in left_out]


def fields_of(step: Step, kind: str) -> tuple[str, ...]:
    """What is asked there."""
    about: tuple[str, ...] = ("title", "slug", "filename", "everyone", "groups")
    about += ("secret_name", "header") if kind == PROVISION else ("description",)
    needed, more = PLACES.get(kind, ((), ()))
    return {
        Step.KIND: ("kind",),
        Step.ADDRESS: ("address", "role_arn"),
        Step.PLACE: needed + more,
        Step.AUTH: ("proof", "secret"),
        Step.SECRET: ("new_name", "new_header", "new_source", "new_value"),
        Step.ABOUT: about,
        Step.CHECK: (),
    }[step]


# What travels from step to step. A value never does.
CARRIED = {
    name
    for kind in PLACES
    for step in Step
    for name in fields_of(step, kind)
    if name != "new_value"
} | {"read"}  # fmt: skip
