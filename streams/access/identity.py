"""Who is asking: a session in a browser, or a bearer token."""

from dataclasses import dataclass

from django.http import HttpRequest

from streams.access import tokens
from streams.models import ApiToken, User


class UnauthorizedError(Exception):
    """There is a token, and it opens nothing."""


class AnonymousError(Exception):
    """Nobody has signed in."""


@dataclass(frozen=True)
class Identity:
    """A user, and the token that they came with, if any."""

    user: User
    token: ApiToken | None = None


def identify(request: HttpRequest) -> Identity:
    """A token, good or bad, outweighs a session.

    Raises `UnauthorizedError`, `AnonymousError` or `guessing.TooManyGuessesError`.
    """
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, value = header.partition(" ")
        token = tokens.authenticate(value.strip(), request) if scheme.lower() == "bearer" else None
        if token is None:
            raise UnauthorizedError
        return Identity(token.user, token)
    user = request.user
    if not isinstance(user, User) or not user.is_active:
        raise AnonymousError
    return Identity(user)
