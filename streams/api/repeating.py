"""What creates something does so once, however often a client that heard no answer repeats it."""

from collections.abc import Callable
from http import HTTPStatus

from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from ninja import Schema

from streams.api.asking import token_of, user_of
from streams.models import KeptAnswer


class OtherRequestError(Exception):
    """The key came with another request before."""


def once(request: HttpRequest, key: str | None, make: Callable[[], Schema]) -> HttpResponse:
    """201 with what `make` gives; or, where this request came with this key before, gave then.

    What `make` raises is not kept: nothing was created, and the request may be tried again.
    Raises `OtherRequestError`.
    """
    if key is None:
        with transaction.atomic():
            return _created(make().model_dump_json())
    KeptAnswer.objects.forget()
    asked = _digest(request)
    with transaction.atomic():
        try:
            with transaction.atomic():
                # The second of two at once waits here until the first has ended.
                kept = KeptAnswer.objects.create(user=user_of(request), key=key, request=asked)
        except IntegrityError:
            kept = KeptAnswer.objects.get(user=user_of(request), key=key)
            if not constant_time_compare(kept.request, asked):
                raise OtherRequestError from None
            return _created(kept.answer)
        kept.answer = make().model_dump_json()
        kept.save(update_fields=["answer"])
        return _created(kept.answer)


def _created(answer: str) -> HttpResponse:
    # Not through the framework, which would read what it wrote as if it were a row. It may hold a
    # link, which is nothing to keep on the way.
    return HttpResponse(
        answer,
        status=HTTPStatus.CREATED,
        content_type="application/json; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )


def _digest(request: HttpRequest) -> str:
    # With what the token may do: an answer that holds a link is for those that may download.
    scope = token_of(request).scope
    told = f"{scope} {request.method} {request.path}\n".encode() + request.body
    return salted_hmac("streams.api.request", told, algorithm="sha256").hexdigest()
