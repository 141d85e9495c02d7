"""`/s/<link>`: an export's bytes for somebody without an account."""

from http import HTTPStatus

from django.conf import settings
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
)
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from streams.access import links
from streams.access.links import Given, LinkUnusableError, PasscodeError
from streams.delivery import downloads, sharing
from streams.delivery.database import in_database_thread
from streams.delivery.limits import LimitError
from streams.models import ShareLink
from streams.views.downloads import asked_of, is_browser, limited, serve

# A page of ours has a form, if only for the language, and sends the origin alone: without any, its
# POST would not say whence it comes.
POLICY, FORM_POLICY = "no-referrer", "strict-origin"


@sensitive_post_parameters("passcode")
async def shared(request: HttpRequest, text: str) -> HttpResponseBase:
    """The bytes; or a form that asks for the passcode, which a POST answers."""
    answer: HttpResponseBase
    if request.method == "POST":
        answer = await in_database_thread(_passcode)(request, text)
    elif request.method in {"GET", "HEAD"}:
        answer = await _bytes(request, text)
    else:
        answer = HttpResponseNotAllowed(["GET", "HEAD", "POST"])
    # The address is the key: it goes to nobody else.
    is_page = answer.get("Content-Type", "").startswith("text/html")
    is_form = is_page and not getattr(answer, "is_foreign", False)
    answer.setdefault("Referrer-Policy", FORM_POLICY if is_form else POLICY)
    return answer


async def _bytes(request: HttpRequest, text: str) -> HttpResponseBase:
    try:
        permitted = await downloads.patiently(_permitted, request, text)
    except LinkUnusableError:
        return _unusable(request)
    except PasscodeError as exc:
        return _asking(request, exc)
    except LimitError as exc:
        return limited(request, exc)
    return await serve(request, permitted)


def _permitted(request: HttpRequest, text: str) -> downloads.Permitted:
    # What pages say of whoever has signed in is looked up here, and not in the event loop.
    bool(request.user.is_authenticated)
    return downloads.permit_link(text, _given(request, text), asked_of(request))


def _given(request: HttpRequest, text: str) -> Given:
    return Given(request.headers.get("X-Passcode", ""), request.COOKIES.get(_cookie(text), ""))


def _cookie(text: str) -> str:
    """Named by the public part of the link."""
    prefix = "__Host-" if settings.SESSION_COOKIE_SECURE else ""
    return f"{prefix}link-{text[:12]}"


def _passcode(request: HttpRequest, text: str) -> HttpResponse:
    """Has the browser remember that it had the right one, and fetch the bytes."""
    try:
        link = sharing.open_link(text, Given(request.POST.get("passcode", "")))
    except LinkUnusableError:
        return _unusable(request)
    except PasscodeError as exc:
        return _asking(request, exc)
    return _remembered(request, link, text)


def _remembered(request: HttpRequest, link: ShareLink, text: str) -> HttpResponse:
    answer = HttpResponseRedirect(request.path, status=HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        _cookie(text),
        links.passed(link),
        max_age=links.PASSED,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
    answer["Cache-Control"] = "private, no-store"
    return answer


def _unusable(request: HttpRequest) -> HttpResponse:
    """The same for every link that opens nothing, whatever it was once."""
    return _told(
        request,
        HTTPStatus.NOT_FOUND,
        "link_unusable",
        _("This link does not work, or no longer."),
        _("Ask whoever gave it to you for a new one."),
    )


def _asking(request: HttpRequest, exc: PasscodeError) -> HttpResponse:
    hint = _("Send it in the header X-Passcode.")
    message = {
        "passcode_required": _("This link needs a passcode."),
        "passcode_wrong": _("This is not its passcode."),
        "passcode_limited": _("Too many wrong passcodes."),
    }[exc.code]
    if exc.retry_after is None:
        return _told(request, HTTPStatus.FORBIDDEN, exc.code, message, hint)
    hint = _("Try again in a quarter of an hour.")
    answer = _told(request, HTTPStatus.TOO_MANY_REQUESTS, exc.code, message, hint)
    answer["Retry-After"] = str(exc.retry_after)
    return answer


def _told(
    request: HttpRequest, status: HTTPStatus, code: str, message: str, hint: str
) -> HttpResponse:
    error = {"code": code, "message": message, "hint": hint}
    answer: HttpResponse
    if is_browser(request):
        answer = render(request, "streams/link.html", {"error": error}, status=status)
    else:
        answer = JsonResponse({"error": error}, status=status)
    answer["Cache-Control"] = "private, no-store"
    return answer
