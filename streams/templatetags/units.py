"""Sizes in one unit system: 1 MB is 1,000,000 bytes, as browsers and disks count."""

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def size(count: int | None) -> str:
    """`200 MB`; for None, that it is not known."""
    if count is None:
        return _("unknown size")
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    digits = 0 if unit in {"B", "kB"} or value >= 100 else 1
    return f"{number_format(round(value, digits), digits)} {unit}"
