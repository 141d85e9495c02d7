"""The least that the portal must be allowed in AWS, as IAM policies. Pure."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from streams.adding import places
from streams.adding.places import Place
from streams.models import Auth, Endpoint, Kind

Statement = dict[str, Any]


def reading(place: Place, region: str) -> dict[str, Any]:
    """To read what the form would like to know of a place."""
    return policy(_reading(place, region))


def calling(endpoint: Endpoint, *, function: str = "") -> dict[str, Any] | None:
    """To fetch from an endpoint; None where AWS asks nobody for leave.

    `function` is that of a URL, which does not tell whose it is.
    """
    statements = list(_calling(endpoint, function))
    return policy(statements) if statements else None


def command(policy: dict[str, Any], name: str) -> str:
    """That attaches it to the portal's role."""
    told = json.dumps(policy, separators=(",", ":"))
    return (
        f"aws iam put-role-policy --role-name PORTAL_ROLE --policy-name {name} "
        f"--policy-document '{told}'"
    )


def policy(statements: Iterable[Statement]) -> dict[str, Any]:
    """The document that holds them."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(actions: list[str], *resources: str) -> Statement:
    """One statement of a policy."""
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def _reading(place: Place, region: str) -> Iterator[Statement]:
    if place.kind in {"function-url", "lambda"}:
        if not place.function:
            yield allow(["lambda:ListFunctions"], "*")
        arn = function_arn(place.function or "*", region)
        reads = ["lambda:GetFunctionConfiguration", "lambda:GetFunctionUrlConfig"]
        if not place.function:
            reads.append("lambda:ListFunctionUrlConfigs")
        yield allow(reads, arn, f"{arn}:*")
    elif place.kind == "gateway":
        root = f"arn:aws:apigateway:{region}::"
        yield allow(
            ["apigateway:GET"], f"{root}/restapis/{place.api_id}/*", f"{root}/apis/{place.api_id}/*"
        )
    elif place.kind == "s3":
        yield allow(["s3:GetBucketLocation"], f"arn:aws:s3:::{place.bucket}")
        yield allow(["s3:GetObject"], f"arn:aws:s3:::{place.bucket}/{place.key}")


def _calling(endpoint: Endpoint, function: str) -> Iterator[Statement]:
    if endpoint.kind == Kind.S3:
        yield allow(["s3:GetObject"], f"arn:aws:s3:::{endpoint.bucket}/{endpoint.key}")
    elif endpoint.kind == Kind.LAMBDA:
        name = ":".join(endpoint.function.split(":")[:7])
        arn = function_arn(name if name.startswith("arn:") else name.split(":")[0], endpoint.region)
        yield allow(["lambda:InvokeFunction"], arn, f"{arn}:*")
    elif endpoint.auth != Auth.SIGV4:
        return
    elif endpoint.kind == Kind.FUNCTION_URL:
        yield allow(
            ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
            function_arn(function or "FUNCTION", endpoint.region),
        )
    else:
        api = places.parse(endpoint.url, endpoint.kind).api_id or "API"
        yield allow(["execute-api:Invoke"], f"arn:aws:execute-api:{endpoint.region}:*:{api}/*")


def function_arn(name: str, region: str) -> str:
    """That of a function in whatever account; `name` may be one already."""
    return name if name.startswith("arn:") else f"arn:aws:lambda:{region or '*'}:*:function:{name}"


def provisioning(function: str, region: str, api: str = "") -> dict[str, Any]:
    """To make what is missing between a function and its endpoint, by docs/provisioning.md.

    `api` is the path of an API of API Gateway, such as `/restapis/a1b2c3`.
    """
    arn = function_arn(function, region)
    statements = [allow(_PROVISIONS, arn, f"{arn}:*")]
    if api:
        calls = [f"apigateway:{verb}" for verb in ("GET", "POST", "PUT", "PATCH", "DELETE")]
        statements.append(allow(calls, f"arn:aws:apigateway:{region}::{api}/*"))
    return policy(statements)


_PROVISIONS = [
    "lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration", "lambda:GetAlias",
    "lambda:UpdateAlias", "lambda:PublishVersion", "lambda:GetFunctionUrlConfig",
    "lambda:CreateFunctionUrlConfig", "lambda:UpdateFunctionUrlConfig",
    "lambda:DeleteFunctionUrlConfig", "lambda:GetPolicy", "lambda:AddPermission",
    "lambda:RemovePermission", "lambda:InvokeFunction",
]  # fmt: skip
