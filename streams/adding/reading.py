"""What AWS tells of a place: read within seconds, and nothing is changed. No value is among it."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext as _

from streams.adding import needs
from streams.adding.places import Place
from streams.aws.account import Account
from streams.aws.apis import HttpApi, RestApi
from streams.aws.calls import Calls
from streams.aws.failures import DeniedError
from streams.aws.functions import Function, UrlConfig
from streams.doctor.facts import Unread
from streams.doctor.reader import Reader
from streams.models import Auth, Gateway, SecretFunction
from streams.rotation.parts import calls, own_region
from streams.rotation.problems import UnfitError

# Seconds: somebody waits.
SECONDS = 15.0
# Functions that are asked whether a URL is theirs. More would take longer than anybody waits.
MOST = 100


@dataclass
class Read:
    """`facts` are a name and what was read, `problems` sentences on what could not be.

    `auth` is how the place wants to be asked, where that is known. `bare` is a function that has no
    URL. `policy` allows what was not allowed; None where nothing was refused.
    """

    place: Place
    facts: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    auth: str = ""
    bare: bool = False
    policy: dict[str, Any] | None = None


def look(place: Place, account: Account, *, role_arn: str = "") -> Read:
    """Never fails: what cannot be read is among its problems."""
    found = Read(place)
    reader = Reader(account, time.monotonic() + SECONDS)
    try:
        region = place.region or own_region()
    except UnfitError as exc:
        # Any region of S3 says where a bucket is.
        region = "us-east-1" if place.kind == "s3" else ""
        if place.kind not in {"s3", "http"}:
            found.problems.append(str(exc))
    if region:
        _Looker(found, reader, region, role_arn).look()
    return found


@dataclass
class _Looker:
    found: Read
    reader: Reader
    region: str
    role_arn: str

    def look(self) -> None:
        kind = self.found.place.kind
        if kind in {"function-url", "lambda"}:
            self._function()
        elif kind == "gateway" and self.found.place.api_id:
            self._know(region=self.region)
            self._gateway()
        elif kind == "s3":
            self._object()

    def _function(self) -> None:
        place = self.found.place
        if not place.function:
            self._owner(place.url)
            place = self.found.place
        self._know(region=self.region)
        if not place.function:
            return
        function = Function(self._of_lambda, place.function)
        held = self._read(lambda: function.read(place.alias))
        if isinstance(held, Unread):
            return
        self._tell(_("Function"), f"{held.arn or place.function}")
        if held.in_vpc:
            self._tell(
                _("Network"), _("in a VPC: its URL does not stream, invoked directly it does")
            )
        if place.kind == "lambda":
            self._know(
                function=f"{place.function}:{place.alias}" if place.alias else place.function
            )
            return
        url = self._read(lambda: function.url(place.alias))
        if isinstance(url, UrlConfig):
            self._url(url)
        elif url is None:
            self.found.bare = True
            self._tell(_("Function URL"), _("none"))

    def _owner(self, url: str) -> None:
        """Looks through the functions of the region: a URL does not tell whose it is."""
        known = SecretFunction.objects.exclude(urls={})
        for row in known:
            if alias := next((one for one, held in row.urls.items() if _same(held, url)), None):
                self._know(function=row.name, alias=alias)
                return
        owner = self._read(lambda: _owner(self._of_lambda, url))
        if isinstance(owner, Unread):
            return
        if owner is None:
            self.found.problems.append(
                _("No function in %(region)s was found with this URL. Name the function, if you "
                  "know it: rotations and the doctor need that.") % {"region": self.region}
            )  # fmt: skip
            return
        self._know(function=owner[0], alias=owner[1])

    def _url(self, url: UrlConfig) -> None:
        if not self.found.place.url:
            self._know(url=url.url)
        self.found.auth = Auth.SIGV4 if url.auth_type == "AWS_IAM" else Auth.SECRET_HEADER
        self._tell(_("Function URL"), url.url)
        self._tell(_("Auth type"), url.auth_type)
        self._tell(_("Invoke mode"), url.invoke_mode)

    def _gateway(self) -> None:
        place = self.found.place
        row = Gateway(region=self.region, role_arn=self.role_arn)
        of_gateway = calls(self.reader.account, row, self.reader.guard)
        rest = RestApi(of_gateway, place.api_id)
        resources = self._read(rest.resources, tell_missing=False)
        if not isinstance(resources, Unread):
            self._tell(_("API"), f"REST API {place.api_id}")
            stage = self._read(lambda: rest.deployment(place.stage))
            if stage is None:
                self.found.problems.append(
                    _("The API has no stage %s.") % place.stage
                    if place.stage
                    else _("The address of a REST API names its stage after the host.")
                )
            self._tell(_("Stage"), place.stage)
            for fact in _rest_facts(resources, place.path):
                self._tell(*fact)
        elif resources.missing:
            self._http(HttpApi(of_gateway, place.api_id))

    def _http(self, api: HttpApi) -> None:
        place = self.found.place
        named = self._read(lambda: api.stage(place.stage) if place.stage else None)
        routes = self._read(api.routes)
        if isinstance(routes, Unread) or isinstance(named, Unread):
            return
        if not named:
            path = f"/{place.stage}{place.path}".rstrip("/") or "/"
            self.found.place = place = replace(place, stage="$default", path=path)
        self._tell(_("API"), f"HTTP API {place.api_id}")
        self._tell(_("Stage"), place.stage)
        self._tell(_("Limits"), _("an HTTP API buffers: 10 MB and 30 s"))
        for route in routes:
            if str(route.get("RouteKey", "")).endswith(f" {place.path}"):
                self._tell(_("Route"), str(route["RouteKey"]))

    def _object(self) -> None:
        place = self.found.place
        asked = Calls(
            self.reader.account, self.region, self.role_arn, lambda _: self.reader.guard()
        )
        if not place.region:
            where = self._read(lambda: asked("s3", "GetBucketLocation", Bucket=place.bucket))
            if isinstance(where, Unread):
                return
            # AWS does not name its first region.
            self._know(region=where.get("LocationConstraint") or "us-east-1")
            self._tell(_("Region"), self.found.place.region)
        region = self.found.place.region
        asked = replace(asked, region=region)
        head = self._read(lambda: asked("s3", "HeadObject", Bucket=place.bucket, Key=place.key))
        if not isinstance(head, Unread):
            self._tell(_("Size"), _("%d bytes") % int(head.get("ContentLength", 0)))
            self._tell(_("Type"), str(head.get("ContentType", "")))

    @property
    def _of_lambda(self) -> Calls:
        row = SecretFunction(region=self.region, role_arn=self.role_arn)
        return calls(self.reader.account, row, self.reader.guard)

    def _read(self, call: Any, *, tell_missing: bool = True) -> Any:
        def asked() -> Any:
            try:
                return call()
            except DeniedError:
                self.found.policy = needs.reading(self.found.place, self.region)
                raise

        told = self.reader.read(asked)
        if isinstance(told, Unread) and (tell_missing or not told.missing):
            self.found.problems.append(told.reason)
        return told

    def _know(self, **values: str) -> None:
        self.found.place = replace(self.found.place, **values)

    def _tell(self, name: str, what: str) -> None:
        if what:
            self.found.facts.append((name, what))


def _owner(of_lambda: Calls, url: str) -> tuple[str, str] | None:
    """Name and alias of the function that has this URL; None where none of the first has."""
    for name in _names(of_lambda):
        held = of_lambda("lambda", "ListFunctionUrlConfigs", FunctionName=name)
        for one in held.get("FunctionUrlConfigs") or []:
            if _same(one["FunctionUrl"], url):
                # arn:aws:lambda:<region>:<account>:function:<name>[:<alias>]
                return name, ":".join(str(one.get("FunctionArn", "")).split(":")[7:])
    return None


def _names(of_lambda: Calls) -> Iterator[str]:
    marker: dict[str, str] = {}
    seen = 0
    while seen < MOST:
        answer = of_lambda("lambda", "ListFunctions", MaxItems=50, **marker)
        for one in answer.get("Functions") or []:
            seen += 1
            yield str(one["FunctionName"])
        if not answer.get("NextMarker"):
            return
        marker = {"Marker": answer["NextMarker"]}


def _same(held: str, url: str) -> bool:
    """Whether `url` is this function URL, or a path of it."""
    return f"{url.rstrip('/')}/".startswith(f"{held.rstrip('/')}/")


def _rest_facts(resources: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    resource = resources.get(path.rstrip("/") or "/")
    if resource is None:
        yield _("Resource"), _("none has exactly this path; a greedy one may serve it")
        return
    yield _("Resource"), resource.path
    for name, method in resource.methods.items():
        integration = method.get("methodIntegration") or {}
        told = (name, integration.get("type"), integration.get("uri"))
        yield _("Method"), " → ".join(str(one) for one in told if one)
        if name in {"GET", "ANY"} and integration.get("responseTransferMode") != "STREAM":
            yield _("Limits"), _("it buffers: 10 MB and 29 s, unless it is set to STREAM")
