"""Times as people read them: how long ago, with the exact one on hover."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince, timeuntil
from django.utils.translation import gettext

register = template.Library()


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """`3 minutes ago`; for None, that it never was."""
    if moment is None:
        return gettext("never")
    recent = timezone.now() - moment < timedelta(minutes=1)
    told = gettext("just now") if recent else gettext("%s ago") % timesince(moment)
    return _timed(moment, told)


@register.filter
def when(moment: datetime | None) -> SafeString | str:
    """`in 3 days` for what is to come, and `ago` for what is past."""
    if moment is None or moment <= timezone.now():
        return ago(moment)
    return _timed(moment, gettext("in %s") % timeuntil(moment))


@register.filter
def duration(seconds: float | None) -> str:
    """`0.31 s`, `1.9 s`, `12 seconds`, `1 hour, 3 minutes`; for None, that it is not known."""
    if seconds is None:
        return gettext("unknown")
    if seconds < 10:
        digits = 2 if seconds < 1 else 1
        return gettext("%s s") % number_format(round(seconds, digits), digits)
    if seconds < 60:
        return gettext("%d seconds") % int(seconds)
    now = timezone.now()
    # Its spaces do not break, which nobody sees here, but a search for the words would.
    return timesince(now, now + timedelta(seconds=seconds)).replace("\xa0", " ")


def _timed(moment: datetime, told: str) -> SafeString:
    exact = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, told)
