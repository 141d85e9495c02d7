"""Texts of unknown language within a sentence that is translated."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def apart(text: object) -> SafeString:
    """In a `<bdi>`: its own direction does not mix with that of the sentence around it."""
    return format_html("<bdi>{}</bdi>", text)
