"""How long somebody waits who was wrong too often."""

import math

from allauth.core import context
from allauth.core.internal import ratelimit
from django.core.exceptions import ValidationError
from django.utils.translation import ngettext

from streams.access.guessing import seconds_left

CODE = "too_many_login_attempts"
_APP, _ACTION = "allauth.account", "login_failed"


def failed_too_often(key: str) -> ValidationError:
    """The error of a form, with the minutes that are left."""
    rates = ratelimit.get_rates(app=_APP, action=_ACTION)
    seconds = max(
        seconds_left(context.request, app=_APP, action=_ACTION, rate=rate, key=key)
        for rate in rates
    )
    minutes = max(1, math.ceil(seconds / 60))
    text = ngettext(
        "Wrong too often. Try again in %(minutes)d minute.",
        "Wrong too often. Try again in %(minutes)d minutes.",
        minutes,
    )
    return ValidationError(text % {"minutes": minutes}, code=CODE)
