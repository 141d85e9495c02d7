"""Lists of millions: neither counted to their end, nor read to it, for a page of them."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

PAGED = 10_000
# By what the latest so many bear, filters are offered.
RECENT = 5_000
# So many values a filter offers.
OFFERED = 50


class PagedPaginator(Paginator):  # type: ignore[type-arg]
    """Of the first so many rows."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted: int = rows.order_by()[:PAGED].count()
        return counted


class LongList(ChangeList):  # type: ignore[misc]
    """In no other order than the columns of `sortable_by` have, also where the address asks."""

    def get_ordering_field(self, field_name: str) -> Any:
        return super().get_ordering_field(field_name) if field_name in self.sortable_by else None


class RecentFilter(admin.SimpleListFilter):
    """Offers the values that the latest rows have: those of all would take long to find."""

    field = ""
    newest_first = "-started_at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        latest = model_admin.get_queryset(request).order_by(self.newest_first).values(self.field)
        values = set(latest[:RECENT].values_list(self.field, flat=True))
        if chosen := request.GET.get(str(self.parameter_name)):
            values.add(chosen)
        return [(value, value) for value in sorted(values - {""})[:OFFERED]]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(**{self.field: self.value()}) if self.value() else queryset
