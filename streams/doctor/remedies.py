"""What would mend a finding: data, which `repairs` shows and carries out.

Each of them states a result, so that doing it twice does no harm. Two findings that one repair
mends have equal ones. What is not safe to do at a word has none: whom a URL asks for signatures,
where an alias or an integration leads, networks, and whatever belongs to somebody else.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """A function as it is called, and how AWS is reached there."""

    function: str
    qualifier: str
    region: str
    role_arn: str

    def __str__(self) -> str:
        alias = f" (alias {self.qualifier})" if self.qualifier else ""
        return f"{self.function}{alias}"


@dataclass(frozen=True)
class PutBack:
    """The current value of a secret, wherever another one is."""

    secret: str

    @property
    def sentence(self) -> str:
        return f"The current value of {self.secret} is put back wherever another one is."


@dataclass(frozen=True)
class MakeUrl:
    """A function URL that streams, and both statements: only who has the secret gets an answer."""

    place: Place
    secret: str

    @property
    def sentence(self) -> str:
        return f"{self.place} gets a function URL that streams, once it is proven that it checks."


@dataclass(frozen=True)
class StreamUrl:
    """The invoke mode of a URL."""

    place: Place
    secret: str

    @property
    def sentence(self) -> str:
        return f"The URL of {self.place} streams."


@dataclass(frozen=True)
class PermitUrl:
    """Both statements by which everybody may call a URL."""

    place: Place
    secret: str

    @property
    def sentence(self) -> str:
        return f"Everybody may call the URL of {self.place}, once it is proven that it checks."


@dataclass(frozen=True)
class CloseInvoke:
    """No statement that lets everybody invoke it past its URL. `statement` is the id of one."""

    place: Place
    secret: str
    statement: str

    @property
    def sentence(self) -> str:
        return f"{self.place} can be invoked by everybody by way of its URL alone."


@dataclass(frozen=True)
class RaiseTimeout:
    """Time enough for one answer, in seconds."""

    place: Place
    seconds: int

    @property
    def sentence(self) -> str:
        return f"{self.place} may take {self.seconds} s for an answer."


OfUrl = MakeUrl | StreamUrl | PermitUrl | CloseInvoke
Remedy = PutBack | OfUrl | RaiseTimeout
