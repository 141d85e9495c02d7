"""Sizes as people write them."""

import re
from typing import Any

_SIZES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TB": 10**12,
    "TIB": 2**40,
}


def parse_size(value: Any) -> int:
    """`5MiB`, `200MB` or a number of bytes. Raises `ValueError` with what was expected."""
    match = re.fullmatch(r"([1-9][0-9]{0,14}) ?([KMGT]i?B|B)?", str(value).strip(), re.IGNORECASE)
    if not match or isinstance(value, bool):
        raise ValueError("a size such as 5MiB")
    return int(match[1]) * _SIZES[(match[2] or "").upper()]
