"""Who comes to a page, and where the others are sent."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponseBase

from streams.access.guessing import TooManyGuessesError
from streams.access.identity import UnauthorizedError, identify
from streams.views.downloads import not_permitted


def signed_in(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page for who has signed in. A browser is sent to; of a token that opens nothing it is said.

    Other schemes are none of ours: a proxy in front may ask browsers for a password of its own.
    """
    page = login_required(view)

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.headers.get("Authorization", "").lower().startswith("bearer "):
            try:
                identify(request)
            except (UnauthorizedError, TooManyGuessesError) as exc:
                return not_permitted(request, exc)
        return page(request, *args, **kwargs)

    return guarded
