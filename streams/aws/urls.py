"""Function URLs of a function's aliases. Without AWS's library, which no model has a use for."""

from collections.abc import Mapping


def moved(address: str, urls: Mapping[str, str], alias: str) -> str | None:
    """`address` with the function URL of `alias` in place of that of another alias.

    `urls` are by alias. None where it begins with none of them.
    """
    for url in urls.values():
        if f"{address}/" == url:
            return urls[alias]
        if address.startswith(url):
            return urls[alias] + address.removeprefix(url)
    return None
