"""The commands that a finding tells, done as they stand there."""

import io
import json
import shlex
from typing import Any

from botocore import xform_name
from django.core.management import call_command

from sandbox.client import Sandbox

# Of functions and gateways, those whose findings tell commands that do more than look.
MEND = {
    "url-missing", "url-buffered", "permission-url", "permission-invoke", "invoke-open",
    "environment-unset", "environment-differs", "environment-next", "alias-behind",
    "integration-type", "gateway-size", "gateway-time", "gateway-edge-idle", "mapping-absent",
    "mapping-unquoted", "mapping-dynamic", "mapping-quoted", "mapping-append", "mapping-differs",
    "mapping-undeployed", "stage-missing",
}  # fmt: skip
# What the one before has made.
_NEW_VERSION = "NEW_VERSION"


def check(identity: str, lines: list[str]) -> None:
    """Each finding has some, if it is one of those."""
    mending = [line for line in lines if " get-" not in line]
    assert bool(mending) == (identity in MEND), lines


def do(aws: Sandbox, lines: list[str]) -> None:
    """All of them, one after the other; a rotation to its end, as workers would take it."""
    version = ""
    for line in lines:
        program, *words = shlex.split(line.replace(_NEW_VERSION, version))
        if program == "manage.py":
            call_command(*words, "--wait", stdout=io.StringIO(), stderr=io.StringIO())
        else:
            version = _call(aws, *words).get("Version", "")


def _call(aws: Sandbox, service: str, operation: str, *words: str) -> Any:
    """What the AWS CLI does with its words."""
    client = aws.client(service.removesuffix("api"))
    method = operation.replace("-", "_")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    told: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            texts = told.setdefault(word, [])
        else:
            texts.append(word)
    assert told.pop("--region", [aws.region]) == [aws.region]
    wanted = {}
    for name, shape in model.input_shape.members.items():
        option = f"--{xform_name(name, '-')}"
        if option in told:
            wanted[name] = _value(shape.type_name, told.pop(option))
    assert told == {}
    return getattr(client, method)(**wanted)


def _value(kind: str, texts: list[str]) -> Any:
    if kind == "list":
        return [dict(part.split("=", 1) for part in text.split(",")) for text in texts]
    if kind == "boolean":
        assert texts == []
        return True
    (text,) = texts
    return json.loads(text) if kind == "structure" else text
