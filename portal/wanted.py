"""What pydantic found to be wrong in our words: what is expected, and not what stands there."""

from collections.abc import Mapping
from typing import Any

_WHOLE, _NUMBER, _KEYS = "a whole number", "a number", "keys with their values"
# By pydantic's type of error.
_PHRASES = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_from_float": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_type": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _NUMBER,
    "string_type": "text",
    "list_type": "a list",
    "dict_type": _KEYS,
    "model_type": _KEYS,
    "model_attributes_type": _KEYS,
    "literal_error": "{expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le} or less",
    "string_too_long": "{max_length} characters at most",
    "string_pattern_mismatch": "text of the form {pattern}",
    # Our own, of the registry.
    "expected": "{what}",
}


def phrase(problem: Mapping[str, Any]) -> str:
    """Of one error of pydantic's, with its context: what goes behind "expected"."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_too_short":
        least = context["min_length"]
        return f"text of at least {least} characters" if least > 1 else "text that is not empty"
    if kind in _PHRASES:
        return _PHRASES[kind].format(**context)
    return str(problem["msg"]).removeprefix("Value error, ")
