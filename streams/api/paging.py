"""Lists, a page at a time: each goes on after the last row of the one before."""

from typing import Any

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from ninja import Field, Schema
from ninja.errors import ValidationError
from ninja.pagination import LimitOffsetPagination, PaginationBase

MOST = 500
# Beyond any list here, and within what databases count to.
FURTHEST = 2**31 - 1


class Pages(PaginationBase):
    """Pages by a cursor: what is added or ends meanwhile shifts nothing, and nothing is counted.

    `by` are fields of the model, all in one direction, the last of which tells rows apart.
    """

    class Input(Schema):
        limit: int = Field(100, ge=1, le=MOST, description="How many at most.")
        cursor: str = Field("", max_length=1000, description="`next` of the page before.")

    class Output(Schema):
        """`next` is null on the last page."""

        items: list[Any]
        next: str | None

    def __init__(self, *, by: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._by = by
        self._names = [name.removeprefix("-") for name in by]
        self._further = "lt" if by[0].startswith("-") else "gt"

    def paginate_queryset(
        self, queryset: QuerySet[Any], pagination: Input, request: HttpRequest, **params: Any
    ) -> dict[str, Any]:
        rows = queryset.order_by(*self._by)
        if pagination.cursor:
            rows = rows.filter(self._after(_read(pagination.cursor, request)))
        # One more tells whether there is a next page.
        found = list(rows[: pagination.limit + 1])
        page = found[: pagination.limit]
        more = len(found) > len(page)
        return {"items": page, "next": self._cursor(page[-1], request) if more else None}

    def _cursor(self, row: Model, request: HttpRequest) -> str:
        fields = [row._meta.get_field(name) for name in self._names]
        values: list[str] = [field.value_to_string(row) for field in fields]  # type: ignore[union-attr]
        return signing.dumps(values, salt=_salt(request))

    def _after(self, values: list[str]) -> Q:
        after, same = Q(), Q()
        for name, value in zip(self._names, values, strict=True):
            after |= same & Q(**{f"{name}__{self._further}": value})
            same &= Q(**{name: value})
        return after


class Counted(LimitOffsetPagination):
    """Pages by number, for a list whose order changes with what it tells."""

    class Input(LimitOffsetPagination.Input):
        offset: int = Field(0, ge=0, le=FURTHEST)


def _read(cursor: str, request: HttpRequest) -> list[str]:
    """What we gave ourselves, on this list: the values need no other check."""
    try:
        values: list[str] = signing.loads(cursor, salt=_salt(request))
    except signing.BadSignature:
        told = {"loc": ("query", "cursor"), "msg": "It is not from a page of this list."}
        raise ValidationError([told]) from None
    return values


def _salt(request: HttpRequest) -> str:
    return f"streams.api.cursor {request.path}"
