"""The operator's mail server, as one URL."""

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

EXPECTED = (
    "smtps://user:password@host:465, smtp://user:password@host:587?tls=starttls, or smtp://host:25 "
    "for a server that asks for no password"
)


@dataclass(frozen=True)
class MailServer:
    """`tls`: from the first byte. `starttls`: after the greeting, and never without."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    starttls: bool = False


def parse(url: str) -> MailServer:
    """The server that `url` names. Raises `ValueError` with what was expected."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(EXPECTED) from None
    tls = parts.scheme == "smtps"
    starttls = parse_qsl(parts.query, keep_blank_values=True) == [("tls", "starttls")]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    whole = (
        parts.scheme in {"smtp", "smtps"}
        and bool(parts.hostname)
        and port != 0
        and parts.path in {"", "/"}
        and not parts.fragment
        and (starttls or not parts.query)
        and not (tls and starttls)
        and bool(user) == bool(password)
        and (user + password).isprintable()
    )
    if not whole:
        raise ValueError(EXPECTED)
    if password and not (tls or starttls):
        raise ValueError("smtps:// or ?tls=starttls where there is a password")
    usual = 465 if tls else 587 if starttls else 25
    return MailServer(parts.hostname or "", port or usual, user, password, tls, starttls)


def check_sender(address: str) -> str:
    """The address that mails come from. Raises `ValueError` with what was expected."""
    try:
        validate_email(address)
    except ValidationError:
        raise ValueError("an address such as spillway@example.com") from None
    return address
