"""Times as people read them: how long ago, with the exact one on hover."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext

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
