"""Lists as files: what one shows, all of it, as CSV or as JSON lines, a page at a time."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from unfold.admin import ModelAdmin

from streams.delivery.database import in_database_thread

# Rows that are read, and sent, at a time.
PAGE = 1000


@dataclass(frozen=True)
class Export:
    """What is exported of a table, and in which order.

    `after` gives the rows that come after one in this order, so that each page is read from where
    the last one ended: what is added meanwhile shifts nothing.
    """

    name: str
    columns: tuple[str, ...]
    order: tuple[str, ...] = ("pk",)
    after: Callable[[Any], Q] = lambda last: Q(pk__gt=last.pk)


class ExportingAdmin(ModelAdmin):  # type: ignore[misc]
    """Has its list exported, with the filters that are in the query."""

    export: Export
    list_before_template = "admin/streams/exports.html"

    def get_urls(self) -> list[Any]:
        wrap, name = self.admin_site.admin_view, f"streams_{self.opts.model_name}"
        return [
            path("csv/", wrap(self.csv), name=f"{name}_csv"),
            path("json/", wrap(self.json), name=f"{name}_json"),
            *super().get_urls(),
        ]

    def csv(self, request: HttpRequest) -> StreamingHttpResponse:
        """What the list shows with these filters, all of it."""
        heading = ",".join(self.export.columns) + "\r\n"
        return self._streamed(request, _csv, "text/csv", "csv", heading)

    def json(self, request: HttpRequest) -> StreamingHttpResponse:
        """The same, one JSON object a line."""
        return self._streamed(request, _json, "application/x-ndjson", "ndjson", "")

    def _streamed(
        self,
        request: HttpRequest,
        written: Callable[[dict[str, Any]], str],
        content_type: str,
        ending: str,
        heading: str,
    ) -> StreamingHttpResponse:
        return StreamingHttpResponse(
            _pages(self._listed(request), self.export, written, heading),
            content_type=f"{content_type}; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="{self.export.name}.{ending}"',
                "Cache-Control": "private, no-store",
            },
        )

    def _listed(self, request: HttpRequest) -> QuerySet[Any]:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            shown = self.get_changelist_instance(request)
        except IncorrectLookupParameters as exc:
            raise BadRequest("There is no such filter.") from exc
        found: QuerySet[Any] = shown.get_queryset(request)
        return found.order_by(*self.export.order)


async def _pages(
    rows: QuerySet[Any], export: Export, written: Callable[[dict[str, Any]], str], heading: str
) -> AsyncIterator[str]:
    if heading:
        yield heading
    rest = rows
    while page := await in_database_thread(list)(rest[:PAGE]):
        rest = rows.filter(export.after(page[-1]))
        yield "".join(written(_values(row, export.columns)) for row in page)


def _values(row: Model, columns: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in columns}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """What JSON has a form for."""
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value) if isinstance(value, UUID | Model) else value


def _json(values: dict[str, Any]) -> str:
    return json.dumps(values) + "\n"


def _csv(values: dict[str, Any]) -> str:
    told = io.StringIO()
    csv.writer(told).writerow(_cell(value) for value in values.values())
    return told.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return _harmless(json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value))


def _harmless(text: str) -> str:
    """A spreadsheet would run what begins so."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
