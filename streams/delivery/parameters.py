"""What an end user may choose of an export: `params` of the registry, as a form that is a query."""

from typing import Any
from urllib.parse import quote, urlencode

from django import forms
from django.http import QueryDict
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from streams.models import Endpoint

LONGEST = 1000


class ParametersError(Exception):
    """The query is not one that the export offers. Says what is wrong, by name."""


class Number(forms.RegexField):
    """Digits, passed on as they were written."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            r"\A-?[0-9]+(\.[0-9]+)?\Z",
            max_length=40,
            widget=forms.NumberInput(attrs={"step": "any"}),
            error_messages={"invalid": gettext_lazy("Enter a number such as 12 or 0.5.")},
            **kwargs,
        )


class Date(forms.DateField):
    """As in ISO 8601, whatever the language."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            input_formats=["%Y-%m-%d"],
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
            error_messages={"invalid": gettext_lazy("Enter a date such as 2026-01-31.")},
            **kwargs,
        )


class Parameters(forms.Form):
    """The fields of one export, filled from a query, or (None) as they are at first.

    What the query does not name has its default; what it names as empty is left out.
    """

    def __init__(self, endpoint: Endpoint, query: str | None) -> None:
        data = QueryDict(query or "", mutable=True)
        self._foreign = sorted(set(data) - {param["name"] for param in endpoint.params})
        self._repeated = sorted(name for name in data if len(data.getlist(name)) > 1)
        defaults = {param["name"]: param.get("default") or "" for param in endpoint.params}
        for name, value in defaults.items():
            data.setdefault(name, value)
        super().__init__(None if query is None else data, initial=defaults, label_suffix="")
        self.fields |= {param["name"]: _field(param) for param in endpoint.params}

    def clean(self) -> dict[str, Any]:
        for name in self._foreign:
            self.add_error(None, _("There is no parameter %s.") % name)
        for name in self._repeated:
            if name in self.fields:
                self.add_error(name, _("Give it once."))
        return self.cleaned_data

    @cached_property
    def query(self) -> str:
        """For the origin, and for links: what is chosen, in the order of the registry."""
        values = {name: self.cleaned_data[name] for name in self.fields}
        chosen = [(name, str(value)) for name, value in values.items() if value]
        return urlencode(chosen, quote_via=quote)


def _field(param: dict[str, Any]) -> forms.Field:
    common = {
        "label": param.get("label") or param["name"],
        "required": param.get("required", False),
    }
    kind = param.get("type", "text")
    if kind == "number":
        return Number(**common)
    if kind == "date":
        return Date(**common)
    if kind == "choice":
        offered = [(choice, choice) for choice in param["choices"]]
        nothing = [] if common["required"] and param.get("default") else [("", "")]
        return forms.ChoiceField(choices=nothing + offered, **common)
    return forms.CharField(max_length=LONGEST, **common)


def checked(endpoint: Endpoint, query: str) -> str:
    """The query for the origin. Where no parameters are declared, whatever was asked.

    Raises `ParametersError`.
    """
    if not endpoint.params:
        return query
    form = Parameters(endpoint, query)
    if form.is_valid():
        return form.query
    told = [
        f"{name}: {problem}" if name in form.fields else str(problem)
        for name, problems in form.errors.items()
        for problem in problems
    ]
    raise ParametersError(" ".join(told))
