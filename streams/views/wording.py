"""What people are told about how a download ended: what happened, and what to do."""

from http import HTTPStatus
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from streams.models import Download, State
from streams.templatetags.units import size


class Wording(NamedTuple):
    what: str | Promise
    todo: str | Promise


RESUME = _("Resume it in your browser's list of downloads, or with the command below.")
ANEW = _("It cannot be gone on with: throw your copy away and start again.")
AGAIN = _("Start it again. If it fails again, tell your contact the download id.")
NEWER = _("Throw your copy away and start again: you will get the new version whole.")
OPERATOR = _("Tell your contact the download id; only they can mend this.")
FOUND = _(
    "It failed again when the portal looked, a moment later. Tell your contact the download id: "
    "the portal shows them the likely cause."
)

_WORDS = {
    "truncated": Wording(_("The source stopped before the end of the file."), RESUME),
    "stalled": Wording(_("The source fell silent in the middle of the file."), RESUME),
    "origin_error": Wording(_("The source reported that it failed midway."), AGAIN),
    "shutdown": Wording(_("The portal was restarted while this file was on its way."), RESUME),
    "process_ended": Wording(_("The portal was interrupted while sending this file."), RESUME),
    "stopped": Wording(
        _("An operator stopped it."), _("Ask your contact before you start it again.")
    ),
    "cancelled": Wording(_("You cancelled it."), _("Start it again whenever you like.")),
    "not_reached": Wording(
        _("The zip that it was part of had ended before."), _("Fetch it alone, or the zip again.")
    ),
    "client_left": Wording(_("The connection was closed at your end."), RESUME),
    "client_stalled": Wording(_("Your program stopped reading for too long."), RESUME),
    "origin_unreachable": Wording(_("The source could not be reached."), AGAIN),
    "origin_timeout": Wording(_("The source did not answer in time."), AGAIN),
    "origin_busy": Wording(_("The source is too busy at the moment."), _("Try again later.")),
    "origin_status": Wording(_("The source answered with an error."), AGAIN),
    "origin_broken": Wording(_("The source broke off before the first byte."), AGAIN),
    "origin_forbidden": Wording(_("The source refused this portal."), OPERATOR),
    "origin_not_found": Wording(_("The source does not have this file."), OPERATOR),
    "origin_protocol": Wording(_("The source's answer made no sense."), OPERATOR),
    "origin_redirect": Wording(_("The source leads elsewhere."), OPERATOR),
    "origin_coded": Wording(
        _("The source sends the file in a form that your program does not take."), OPERATOR
    ),
    "address_forbidden": Wording(_("The source's address is not allowed."), OPERATOR),
    "function_url_buffered": Wording(_("The source is not set up to stream."), OPERATOR),
    "function_url_unknown": Wording(_("The source is no longer there."), OPERATOR),
    "function_url_permission": Wording(_("The source is not open to this portal."), OPERATOR),
    "aws_denied": Wording(_("AWS refused this portal."), OPERATOR),
    "aws_credentials": Wording(_("This portal has no access to AWS."), OPERATOR),
    "gateway_refused": Wording(_("The gateway in front of the source refused."), OPERATOR),
    "gateway_limit": Wording(_("The file is too large for the gateway on its way."), OPERATOR),
    "function_failed": Wording(_("The source failed before it sent a byte."), AGAIN),
    "follow_failed": Wording(_("The source did not say where the file is."), OPERATOR),
    "page_invalid": Wording(_("A page of the source is not as it should be."), OPERATOR),
    "page_failed": Wording(_("One of the source's pages could not be had."), AGAIN),
    "origin_replaced": Wording(_("The file was replaced at the source."), NEWER),
    "precondition_failed": Wording(_("The file is not the version that was asked for."), NEWER),
    "changed": Wording(_("The file was replaced at the source while it was sent."), NEWER),
    "corrupt": Wording(
        _("What arrived is not what the source keeps: its checksum differs."),
        _("Throw your copy away and start again. If it stays, tell your contact the download id."),
    ),
    "portal_error": Wording(_("The portal itself failed."), AGAIN),
    "range_not_satisfiable": Wording(
        _("There is nothing left to fetch: the file has no such bytes."),
        _("If you were resuming, your copy may be whole already, or of another version."),
    ),
}
_OTHERWISE = Wording(_("Something went wrong."), AGAIN)


def of(reason: str, *, cause: str = "", said: str = "", resumable: bool = True) -> Wording:
    """The words for a reason or an error code; general ones for a code that has none.

    `cause` is what the doctor found. It is for operators, and its readers are told where it is.
    `said` is why an operator stopped it. `resumable`: it can be gone on with.
    """
    words = _WORDS.get(reason, _OTHERWISE)
    if words.todo is RESUME and not resumable:
        words = words._replace(todo=ANEW)
    if reason == "stopped" and said:
        words = words._replace(what=gettext("An operator stopped it: %s") % said)
    return words._replace(todo=FOUND) if cause else words


def done(row: Download) -> str:
    """What there is to be said of one that is complete; empty for others."""
    if row.state != State.COMPLETE:
        return ""
    if row.is_whole:
        return gettext("Everything was sent")
    if row.status == HTTPStatus.NOT_MODIFIED:
        return gettext("It has not changed, so nothing was sent")
    if row.reached_end:
        return gettext("The rest was sent")
    return gettext("The part that was asked for was sent")


def part(row: Download) -> str:
    """What of the file that was, where it was a part of it; else empty."""
    if row.state != State.COMPLETE or row.is_whole or row.status == HTTPStatus.NOT_MODIFIED:
        return ""
    sizes = {"sent": size(row.sent), "whole": size(row.total), "first": size(row.first)}
    return gettext("%(sent)s of %(whole)s, from %(first)s on") % sizes
