"""Times as people read them: how long ago, with the exact one on hover."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext

register = template.Library()


@register.filter
def ago(moment: datetime | None) -> SafeString | str:
    """`3 minutes ago`; for None, that it never was."""
    if moment is None:
        return gettext("never")
    recent = timezone.now() - moment < timedelta(minutes=1)
    told = gettext("just now") if recent else gettext("%s ago") % timesince(moment)
    exact = date_format(timezone.localtime(moment), "DATETIME_FORMAT")
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact, told)


@register.filter
def duration(seconds: float) -> str:
    """`0.4 s`, `12 seconds`, `1 hour, 3 minutes`."""
    if seconds < 1:
        return gettext("%s s") % number_format(round(seconds, 1), 1)
    if seconds < 60:
        return ngettext("%d second", "%d seconds", int(seconds)) % int(seconds)
    now = timezone.now()
    # Its spaces do not break, which nobody sees here, but a search for the words would.
    return timesince(now, now + timedelta(seconds=seconds)).replace("\xa0", " ")
