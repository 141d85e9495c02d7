"""What each admin of ours does: it records whatever it changes."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError, transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from streams import audit
from streams.models import User


def staff(request: HttpRequest) -> User:
    """Who asks, on a page that is for staff alone."""
    assert isinstance(request.user, User)
    return request.user


def may_see(request: HttpRequest, model: type[Model]) -> bool:
    """Whether there is a list of these for whoever asks."""
    return bool(admin.site.get_model_admin(model).has_view_permission(request))


def listed(request: HttpRequest, model: type[Model]) -> Any:
    """What that list has, in no order; nothing for who may not see it."""
    found = admin.site.get_model_admin(model).get_queryset(request).order_by()
    return found if may_see(request, model) else found.none()


class RecordingAdmin(ModelAdmin):  # type: ignore[misc]
    """Each change is in the audit log, in its own transaction, and names no value."""

    list_per_page = 50
    # What its actions begin with; empty: the model's name.
    subject = ""
    # Columns that no page shows.
    untold: frozenset[str] = frozenset()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Whether an address may filter by it: what a list finds would tell it, piece by piece."""
        known: bool = super().lookup_allowed(lookup, value, request)
        return known and lookup.partition("__")[0] not in self.untold

    def named(self, obj: Any) -> str:
        """What the log calls it."""
        return str(obj)

    def record(self, request: HttpRequest, verb: str, what: str, **details: str) -> None:
        subject = self.subject or self.model._meta.model_name
        audit.record(f"{subject}.{verb}", by=staff(request), what=what, details=details)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list, read with what the address asks for."""
        try:
            return super().get_changelist_instance(request)
        except (OverflowError, DataError) as exc:
            # Django knows the range of integers, and neither that of keys nor that of years.
            raise IncorrectLookupParameters(str(exc)) from exc

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        entry: LogEntry = super().log_addition(request, obj, message)
        self.record(request, "added", self.named(obj))
        return entry

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> LogEntry:
        entry: LogEntry = super().log_change(request, obj, message)
        # Django logs also that a form was saved in which nothing was changed.
        if message:
            self.record(request, "changed", self.named(obj), changes=_told(message))
        return entry

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        what = self.named(obj)
        super().delete_model(request, obj)
        self.record(request, "deleted", what)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        names = [self.named(obj) for obj in queryset]
        super().delete_queryset(request, queryset)
        for what in names:
            self.record(request, "deleted", what)


class KeptAdmin(RecordingAdmin):
    """Of rows that the portal itself makes and keeps: nobody adds or deletes one here."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(KeptAdmin):
    """And nobody changes one."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def _told(message: Any) -> str:
    """Which fields, and which rows beside it, in Django's words."""
    text = message if isinstance(message, str) else json.dumps(message)
    return LogEntry(change_message=text).get_change_message()
