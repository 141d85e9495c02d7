"""What a stage serves, where several integrations of one API send the same header."""

import json
from typing import Any, cast

import pytest

from streams.aws.calls import Calls
from streams.aws.gateways import HttpIntegration, http_parameters, rest_parameters

HEADER = "x-secret-header"


def integration(value: str) -> dict[str, Any]:
    parameters = {f"overwrite:header.{HEADER}": value}
    return {
        "x-amazon-apigateway-integration": {
            "requestParameters": parameters,
            "uri": f"https://{value}.example.com/",
        }
    }


EXPORT = {
    "paths": {
        "/orders": {"get": integration("of-orders")},
        "/people": {"get": integration("of-people")},
        "/$default": {"x-amazon-apigateway-any-method": integration("of-the-rest")},
    }
}
ROUTES = {"GET /orders": "one", "GET /people": "two", "$default": "three"}


class Aws:
    """Answers as API Gateway does, in pages of one route."""

    def __call__(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == "ExportApi":
            return {"body": json.dumps(EXPORT).encode()}
        assert operation == "GetRoutes"
        number = int(parameters.get("NextToken", "0"))
        key = list(ROUTES)[number]
        page: dict[str, Any] = {
            "Items": [{"RouteKey": key, "Target": f"integrations/{ROUTES[key]}"}]
        }
        return page | ({"NextToken": str(number + 1)} if number + 1 < len(ROUTES) else {})


@pytest.mark.parametrize(
    ("identity", "value"),
    [("one", "of-orders"), ("two", "of-people"), ("three", "of-the-rest"), ("four", None)],
)
def test_the_integration_of_an_http_api_is_known_by_its_route(
    identity: str, value: str | None
) -> None:
    ours = HttpIntegration(cast(Calls, Aws()), "api", identity, "$default", HEADER)

    deployed = ours.deployed()

    assert (deployed and deployed.value) == value


def test_each_type_of_api_wants_its_own_quotes() -> None:
    assert rest_parameters("x-a", "v") == {"integration.request.header.x-a": "'v'"}
    assert http_parameters("x-a", "v") == {"overwrite:header.x-a": "v"}
    for make in (rest_parameters, http_parameters):
        with pytest.raises(ValueError, match="no single quote"):
            make("x-a", "it's")
