"""What all of the API has in common: who asks, and how errors are told (RFC 9457)."""

from collections.abc import Callable, Iterator
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.security import HttpBearer

from streams.access import tokens
from streams.access.guessing import TooManyGuessesError
from streams.api import audit, doctor, downloads, endpoints, exports, links, rotations, secrets
from streams.api.asking import ScopeError
from streams.api.repeating import OtherRequestError
from streams.delivery.parameters import ParametersError
from streams.models import ApiToken
from streams.rotation.problems import RotationError


class Token(HttpBearer):
    """A token of a user, who may do here what they may anywhere else, within the token's scope."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = tokens.authenticate(token, request)
        if found is not None:
            changes = request.method not in {"GET", "HEAD", "OPTIONS"}
            if not (found.may_change if changes else found.may_read):
                raise ScopeError
            # What is recorded of this request is recorded as theirs.
            request.user = found.user
        return found


class Problem(Schema):
    """What went wrong, as RFC 9457 has it. `errors` are of a request that is not valid."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"type": "about:blank", "title": "Not Found", "status": 404,
                 "detail": "There is no such thing, or none for you."}
            ]
        }
    }  # fmt: skip

    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, Any]] = []


class Api(NinjaAPI):
    """Tells of problems in its document, too, and of a wrong method as of any other problem.

    `HEAD` is answered like `GET`, wherever there is one.
    """

    def _get_urls(self) -> list[Any]:
        found: list[Any] = super()._get_urls()
        for pattern in found:
            pattern.callback = _telling_of_methods(_answering_head(pattern.callback))
        return found

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**kwargs)
        document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                operation["responses"] |= {
                    int(status): {"description": status.phrase, "content": content}
                    for status in _problems_of(path, method)
                }
        return document


def _answering_head(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method != "HEAD":
            return view(request, *args, **kwargs)
        # The server leaves the body out. It and the log go by what was asked.
        request.method = "GET"
        try:
            return view(request, *args, **kwargs)
        finally:
            request.method = "HEAD"

    return answer


def _telling_of_methods(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        given = view(request, *args, **kwargs)
        if given.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
            return given
        methods = set(given["Allow"].split(", "))
        allowed = ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))
        told = _problem(HTTPStatus.METHOD_NOT_ALLOWED, f"Here you may only {allowed}.")
        told["Allow"] = allowed
        return told

    return answer


def _problems_of(path: str, method: str) -> Iterator[HTTPStatus]:
    """With which of them a call may be answered."""
    yield HTTPStatus.UNAUTHORIZED
    yield HTTPStatus.FORBIDDEN
    yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.TOO_MANY_REQUESTS
    if method == "post" or "{" in path or path.endswith("/doctor"):
        yield HTTPStatus.NOT_FOUND
    if method == "post":
        yield HTTPStatus.BAD_REQUEST
        yield HTTPStatus.CONFLICT


api = Api(
    title="Spillway",
    version="1",
    description=(
        "What a token may do follows from its user's role and groups, within the token's scope."
    ),
    urls_namespace="api",
    # Its page of documentation would fetch scripts from elsewhere.
    docs_url=None,
    auth=Token(),
)
for part in (exports, downloads, links, endpoints, secrets, rotations, doctor, audit):
    api.add_router("", part.router)


@csrf_exempt  # a program's POST is told the same
def missing(request: HttpRequest, rest: str = "") -> HttpResponse:
    """Below the API's address, where there is nothing."""
    return not_found(request, Http404())


def _problem(status: HTTPStatus, detail: str, **more: Any) -> HttpResponse:
    told = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    return JsonResponse(
        told | more,
        status=status,
        content_type="application/problem+json",
        headers={"Cache-Control": "no-store"},
    )


@api.exception_handler(AuthenticationError)
def unauthorized(request: HttpRequest, exc: AuthenticationError) -> HttpResponse:
    answer = _problem(HTTPStatus.UNAUTHORIZED, "Send a token: Authorization: Bearer spw_….")
    answer["WWW-Authenticate"] = "Bearer"
    return answer


@api.exception_handler(TooManyGuessesError)
def guessed_too_often(request: HttpRequest, exc: TooManyGuessesError) -> HttpResponse:
    answer = _problem(HTTPStatus.TOO_MANY_REQUESTS, "Wrong tokens too often.")
    answer["Retry-After"] = str(exc.seconds)
    return answer


@api.exception_handler(ScopeError)
def out_of_scope(request: HttpRequest, exc: ScopeError) -> HttpResponse:
    return _problem(HTTPStatus.FORBIDDEN, "This token's scope does not allow it.")


@api.exception_handler(PermissionDenied)
def forbidden(request: HttpRequest, exc: PermissionDenied) -> HttpResponse:
    return _problem(HTTPStatus.FORBIDDEN, "The role of this token's user does not allow it.")


@api.exception_handler(Http404)
def not_found(request: HttpRequest, exc: Http404) -> HttpResponse:
    return _problem(HTTPStatus.NOT_FOUND, "There is no such thing, or none for you.")


@api.exception_handler(ValidationError)
def invalid(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    # Without what was sent, which is not repeated.
    errors = [{"at": list(one["loc"]), "problem": one["msg"]} for one in exc.errors]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid.", errors=errors)


@api.exception_handler(HttpError)
def refused(request: HttpRequest, exc: HttpError) -> HttpResponse:
    return _problem(HTTPStatus(exc.status_code), str(exc))


@api.exception_handler(OtherRequestError)
def repeated_otherwise(request: HttpRequest, exc: OtherRequestError) -> HttpResponse:
    return _problem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key came with another request before."
    )


@api.exception_handler(ParametersError)
def wrong_parameters(request: HttpRequest, exc: ParametersError) -> HttpResponse:
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(exc))


@api.exception_handler(RotationError)
def not_now(request: HttpRequest, exc: RotationError) -> HttpResponse:
    return _problem(HTTPStatus.CONFLICT, str(exc))
