"""What a notice says: as JSON for programs, as text for people."""

import json
from typing import Any

from django.conf import settings
from django.urls import reverse

from streams.models import Notice, NoticeEvent

# Where an operator goes from there, by what the notice names; the first one counts.
_PAGES = {
    "rotation_id": "admin:streams_rotation_change",
    "secret_id": "admin:streams_secret_change",
    "endpoint_id": "admin:streams_endpoint_doctor",
}

_OF_THE_PORTAL = {NoticeEvent.DOCTOR_FAILING, NoticeEvent.DOCTOR_OVER}


def as_json(notice: Notice) -> bytes:
    """The same bytes at each attempt, as long as the portal's own address stays."""
    body = {
        "type": notice.event,
        "timestamp": notice.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"summary": notice.summary, **notice.data, "link": link(notice) or None},
    }
    return json.dumps(body, separators=(",", ":")).encode()


def as_text(notice: Notice) -> str:
    facts = [f"{_label(name)}: {_told(value)}" for name, value in notice.data.items() if value]
    parts = [notice.summary, "\n".join(facts), link(notice)]
    return "\n\n".join(filter(None, parts)) + "\n"


def link(notice: Notice) -> str:
    """The page to look at, empty where `SPILLWAY_BASE_URL` is not set."""
    if not settings.BASE_URL:
        return ""
    for name, page in _PAGES.items():
        if notice.data.get(name):
            return settings.BASE_URL + reverse(page, args=[notice.data[name]])
    if notice.event in _OF_THE_PORTAL:
        return settings.BASE_URL + reverse("admin:doctor")
    return settings.BASE_URL + reverse("admin:streams_notice_change", args=[notice.pk])


def _label(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
