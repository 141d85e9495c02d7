"""Times as people read them: how long ago, with the exact one on hover."""

from datetime import datetime, timedelta

from django import template
from django.contrib.humanize.templatetags.humanize import NaturalTimeFormatter
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext, ngettext

register = template.Library()

# "3 days" has another form after "ago" and "in" in some languages: vor 3 Tagen.
PAST = NaturalTimeFormatter.past_substrings
FUTURE = NaturalTimeFormatter.future_substrings


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """`3 minutes ago`; for None, that it never was."""
    if moment is None:
        return gettext("never")
    if timezone.now() - moment < timedelta(minutes=1):
        return _timed(moment, gettext("just now"))
    return _timed(moment, gettext("%s ago") % timesince(moment, time_strings=PAST))


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """`in 3 days` for what is to come, and `ago` for what is past."""
    if moment is None or moment <= timezone.now():
        return ago(moment)
    return _timed(moment, gettext("in %s") % timeuntil(moment, time_strings=FUTURE))


@register.filter
def duration(seconds: float | None) -> str:
    """`0.31 s`, `1.9 s`, `12 seconds`, `1 hour, 3 minutes`; for None, that it is not known."""
    if seconds is None:
        return gettext("unknown")
    if seconds < 10:
        digits = 2 if seconds < 1 else 1
        return gettext("%s s") % number_format(round(seconds, digits), digits)
    if seconds < 60:
        return ngettext("%d second", "%d seconds", int(seconds)) % int(seconds)
    now = timezone.now()
    # Its spaces do not break, which nobody sees here, but a search for the words would.
    return timesince(now, now + timedelta(seconds=seconds)).replace("\xa0", " ")


@register.filter
def exact(moment: datetime) -> str:
    """Date and time as the language writes them, with the zone."""
    local = timezone.localtime(moment)
    return f"{date_format(local, 'DATETIME_FORMAT')} {local.tzname()}"


def _timed(moment: datetime, told: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), told
    )
