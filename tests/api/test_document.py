"""The OpenAPI document: complete, with examples, and true of whatever is asked."""

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.test import Client
from hypothesis import HealthCheck, given, settings
from jsonschema_rs import validator_for
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from streams.access.roles import Role
from streams.models import User
from tests.api.client import Api, staff
from tests.api.things import VALUE, made_for

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
# For each call, and each of two users.
EXAMPLES = 15


@pytest.fixture
def document() -> dict[str, Any]:
    told: dict[str, Any] = Client().get("/api/v1/openapi.json").json()
    return told


def test_each_call_is_described(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            call = f"{method} {path}"
            assert operation["summary"], call
            assert operation["description"], call
            assert operation["security"] == [{"Token": []}], call
            assert {"401", "403", "422", "429"} < set(operation["responses"]), call


def test_each_body_has_examples_that_are_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    told = [
        content["schema"]["$ref"].rpartition("/")[2]
        for operations in document["paths"].values()
        for operation in operations.values()
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in body.get("content", {}).values()
    ]
    # A page's examples are those of its items.
    names = {name.removeprefix("Paged") for name in told}

    assert names <= set(schemas)
    for name in names:
        assert schemas[name].get("examples"), name
        check = validator_for({"$ref": f"#/components/schemas/{name}", **document})
        for example in schemas[name]["examples"]:
            assert [problem.message for problem in check.iter_errors(example)] == [], name


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("who", ["operator", "reader"])
def test_whatever_is_asked_is_answered_as_the_document_says(who: str) -> None:
    owner = staff(Role.ADMINISTRATOR, "owner")
    made_for(owner)
    user = owner if who == "operator" else User.objects.create_user("reader")
    headers = Api(user).headers
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
    asked = set()

    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE))
        def ask(case: Any) -> None:
            answer = case.call(headers=headers)
            case.validate_response(answer, checks=CHECKS)
            assert VALUE not in answer.text

        ask()
        asked.add(operation.label)

    assert len(asked) > 20
