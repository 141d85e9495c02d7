"""What all of the API has in common: who asks, and how errors are told (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.security import HttpBearer

from streams.access import tokens
from streams.api import doctor
from streams.models import ApiToken


class Token(HttpBearer):
    """A token of a user, who may do here what they may do anywhere else."""

    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        found = tokens.authenticate(token)
        if found is not None:
            # What is recorded of this request is recorded as theirs.
            request.user = found.user
        return found


api = NinjaAPI(
    title="Spillway",
    version="1",
    description="For operators. What a token may do follows from its user's role.",
    urls_namespace="api",
    # Its page of documentation would fetch scripts from elsewhere.
    docs_url=None,
    auth=Token(),
)
api.add_router("", doctor.router)


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
