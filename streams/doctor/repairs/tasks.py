"""The tasks of repairs of a function, beside those of provisioning that they share.

Each tells what is missing, does it, and proves it: see `provisioning.site.Task`.
"""

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError

from streams.aws.functions import Statement
from streams.doctor.checks import Finding
from streams.doctor.repairs.looking import is_there
from streams.doctor.repairs.problems import NotNowError
from streams.models import Auth, Endpoint, Kind, Rotation, Secret, SecretFunction
from streams.models.secrets import validate_value
from streams.provisioning.function import EnvironmentHolds, proven
from streams.provisioning.problems import UnfitError
from streams.provisioning.site import Site
from streams.rotation import starting


@dataclass(frozen=True)
class NothingRotates:
    """No rotation changes this function meanwhile."""

    site: Site
    name: str = "rotation"
    proof: str = ""

    def missing(self) -> list[str]:
        bare = _bare(self.site.request.function)
        for rotation in Rotation.objects.open().select_related("secret"):
            held = SecretFunction.objects.filter(secret=rotation.secret).first()
            if held and _bare(held.name) == bare:
                raise UnfitError(
                    f"A rotation of {rotation.secret.name} is under way. Run this again when it "
                    "has ended."
                )
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        """What begins after this is kept off by the function's revision."""


@dataclass(frozen=True)
class SecretIsKnown:
    """What the function is asked with: the value that it holds, else ours."""

    site: Site
    name: str = "secret"
    proof: str = ""

    def missing(self) -> list[str]:
        site = self.site
        held = SecretFunction.objects.filter(secret__name=site.request.secret).first()
        if held is None:
            raise UnfitError(f"The secret {site.request.secret} names no function any more.")
        site.header, site.variable = held.secret.header, held.variable
        ours = _current(held.secret)
        theirs = site.function.read(site.request.alias).variables.get(held.variable, "")
        site.value = theirs or ours
        try:
            validate_value(site.value)
        except ValidationError:
            raise UnfitError(
                f"{held.variable} of the function holds what cannot be sent as a header. Put the "
                f"current value back first: manage.py rotate {held.secret.name} --repair."
            ) from None
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        """The function itself is asked."""


@dataclass(frozen=True)
class SomeValueIsHeld(EnvironmentHolds):
    """The function has a value to compare with, whichever: without one it lets nobody in."""

    def missing(self) -> list[str]:
        site = self.site
        if site.function.read(site.request.alias).variables.get(site.variable):
            return []
        return super().missing()


@dataclass(frozen=True)
class EndpointsFollow:
    """The endpoints that send this secret to its function URL know the address of a new one."""

    site: Site
    name: str = "registry"
    proof: str = ""

    def missing(self) -> list[str]:
        return [
            f"The endpoint {one.slug} gets the address of the function URL; it has {one.url}."
            for one in self._behind()
        ]

    def do(self) -> None:
        for endpoint in self._behind():
            old = endpoint.url
            new = self.site.url.rstrip("/") + _below(old)
            self.site.undo.add(
                f"the endpoint {endpoint.slug} has its address from before",
                partial(_readdress, endpoint.pk, new, old),
            )
            _readdress(endpoint.pk, old, new)

    def prove(self) -> None:
        """The database is believed."""

    def _behind(self) -> list[Endpoint]:
        called = Endpoint.objects.filter(
            secret__name=self.site.request.secret, kind=Kind.FUNCTION_URL, auth=Auth.SECRET_HEADER
        )
        url = self.site.url
        return [one for one in called.order_by("pk") if not url or not _leads(one.url, url)]


@dataclass(frozen=True)
class UrlIsThere:
    """It has a public URL."""

    site: Site
    name: str = "url"
    proof: str = ""

    def missing(self) -> list[str]:
        held = self.site.function.url(self.site.request.alias)
        if held is None:
            raise UnfitError("The function has no URL any more.")
        if held.auth_type != "NONE":
            raise UnfitError("The function URL asks for a signature by now.")
        self.site.url = held.url
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        """Everybody is asked when everybody may."""


@dataclass(frozen=True)
class UrlAnswers:
    """Who could call the URL before still can."""

    site: Site
    name: str = "answer"
    proof: str = "The URL is asked over the network, in the same ways, where everybody may call it."

    def missing(self) -> list[str]:
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        site = self.site
        if not site.function.missing_statements(site.request.alias):
            proven(site, site.address(site.url).verdict)


@dataclass(frozen=True)
class InvokeIsClosed:
    """The statement `id`, by which everybody may invoke it past its URL, is gone."""

    site: Site
    id: str
    name: str = "invoke"
    proof: str = "The URL is asked over the network, once more."

    def missing(self) -> list[str]:
        if self._is_there():
            return [f"The statement {self.id} is removed, which permits it without a condition."]
        return []

    def do(self) -> None:
        site, alias = self.site, self.site.request.alias
        site.undo.add(f"the statement {self.id} is there", self._put_back)
        site.function.revoke(self._open, alias)

    def prove(self) -> None:
        proven(self.site, self.site.address(self.site.url).verdict)

    @property
    def _open(self) -> Statement:
        """As it stands: no condition at all."""
        return Statement(self.id, "lambda:InvokeFunction", {}, "", "")

    def _is_there(self) -> bool:
        """Not one of another meaning, by which somebody has replaced it under this id."""
        held = self.site.function.statements(self.site.request.alias)
        return any(
            (one.get("Sid"), one.get("Action")) == (self.id, self._open.action)
            and not one.get("Condition")
            for one in held
        )

    def _put_back(self) -> None:
        if not self._is_there():
            self.site.function.permit(self._open, self.site.request.alias)


@dataclass(frozen=True)
class TimeoutIs:
    """One invocation may take `seconds`."""

    site: Site
    seconds: int
    name: str = "time-out"
    proof: str = ""

    def missing(self) -> list[str]:
        held = self.site.function.read().timeout
        if held >= self.seconds:
            return []
        return [f"The time-out becomes {self.seconds} s; it is {held} s."]

    def do(self) -> None:
        site = self.site
        held = site.function.read()
        site.undo.add(f"the time-out is {held.timeout} s", lambda: self._put_back(held.timeout))
        site.function.set_timeout(self.seconds, revision_id=held.revision_id)

    def prove(self) -> None:
        def settled() -> bool:
            held = self.site.function.read()
            if held.update_status == "Failed":
                raise UnfitError("AWS could not carry the update out.")
            return held.update_status != "InProgress"

        self.site.until(settled, "AWS does not come to an end with the update of the function.")

    def _put_back(self, seconds: int) -> None:
        held = self.site.function.read()
        if held.timeout == self.seconds:
            self.site.function.set_timeout(seconds, revision_id=held.revision_id)


@dataclass(frozen=True)
class FindingIsGone:
    """What was found is looked at once more."""

    site: Site
    finding: Finding
    name: str = "look"
    proof: str = "It is looked at once more: the finding must be gone."

    def missing(self) -> list[str]:
        return []

    def do(self) -> None:
        """There is nothing that could be done."""

    def prove(self) -> None:
        def gone() -> bool:
            try:
                return not is_there(self.finding)
            except NotNowError:
                return False

        self.site.until(gone, "It was done, and the same is still found.")


def _leads(address: str, url: str) -> bool:
    return f"{address}/".startswith(url)


def _below(address: str) -> str:
    """Its path, and its query."""
    parts = urlsplit(address)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _readdress(endpoint: int, old: str, new: str) -> None:
    """Unless somebody has given it another one meanwhile."""
    Endpoint.objects.filter(pk=endpoint, url=old).update(url=new)


def _current(secret: Secret) -> str:
    """Our value. Raises `UnfitError`."""
    if secret.is_rotating():
        raise UnfitError(
            f"A rotation of {secret.name} is under way. Run this again when it has ended."
        )
    try:
        return starting.current_version(secret).value
    except starting.NotNowError as exc:
        raise UnfitError(str(exc)) from None


def _bare(function: str) -> str:
    """A function's name, also of its ARN."""
    return function.rpartition(":function:")[2]
