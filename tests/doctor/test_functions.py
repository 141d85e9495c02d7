"""No false alarm over the handlers of `functions/`.

Over its templates, see `test_templates`; over the recipes, the demo's test.
"""

import secrets
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from functions import package
from sandbox.client import Sandbox
from streams.models import Endpoint, Secret, SecretFunction
from tests.doctor.conftest import OTHERS, examined
from tests.functions.languages import NODE, in_place, needs_node


def _secret(value: str, **function: Any) -> Secret:
    secret = Secret.objects.create(name="orders")
    with transaction.atomic():
        secret.set_value(value)
    SecretFunction.objects.create(secret=secret, **function)
    return secret


def _register(url: str, secret: Secret) -> None:
    Endpoint.objects.create(
        slug="orders", title="Orders", kind="function-url", url=url, auth="secret-header",
        secret=secret,
    )  # fmt: skip


@needs_node
def test_the_handler_for_node_is_found_well(account: Sandbox) -> None:
    name, value = f"node-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    code = in_place(NODE)
    url = account.deploy_function(name, code, "app.handler", {**OTHERS, "SECRET_HEADER": value})
    _register(url, _secret(value, name=name, region=account.region))

    status, told = examined()

    assert (status, told["findings"]) == (0, [])
    assert told["passed"] > 20


def test_the_handler_without_a_secret_is_found_well(account: Sandbox) -> None:
    name = f"signed-{secrets.token_hex(4)}"
    url = account.deploy_function(
        name, package.exporting(), "app.export", OTHERS, url_auth="AWS_IAM"
    )
    where = {"auth": "sigv4", "region": account.region}
    Endpoint.objects.create(slug="signed", title="A", kind="function-url", url=url, **where)
    Endpoint.objects.create(slug="invoked", title="B", kind="lambda", function=name, **where)

    status, told = examined()

    assert (status, told["findings"]) == (0, [])


# A guarded handler without ranges, that takes a while to start, or to make its file.
SLOW = """
import time
from spillway_lambda import Head, guarded, streamify

time.sleep({start})

@guarded
@streamify
def handler(event, context):
    time.sleep({make})
    yield Head(200, {{"Content-Length": "800000"}})
    yield b"a,b\\n1,2\\n" * 100_000
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "make", "expected"), [(2.5, 0, []), (0, 2.5, ["origin-buffers"])]
)
def test_a_function_that_starts_slowly_is_told_from_one_that_makes_all_first(
    account: Sandbox, tmp_path: Path, start: float, make: float, expected: list[str]
) -> None:
    (tmp_path / "slow.py").write_text(SLOW.format(start=start, make=make))
    code = package.packed(package.library() | {"slow.py": tmp_path / "slow.py"})
    name, value = f"slow-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    url = account.deploy_function(name, code, "slow.handler", {"SECRET_HEADER": value})
    _register(url, _secret(value, name=name, region=account.region))

    _, told = examined()

    found = [one["id"] for one in told["findings"] if one["id"] != "not-resumable"]
    assert found == expected
