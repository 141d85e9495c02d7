"""The registry file's form: every kind and key, validated as one reads it."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self

from django.core.exceptions import ValidationError as DjangoValidationError
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from portal.units import parse_size
from streams.models.secrets import StoredAt, stored_at, validate_header_name
from streams.net.addresses import AddressPolicy
from streams.net.errors import AddressForbiddenError
from streams.origins.function_url import may_be_signed

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def expected(text: str) -> PydanticCustomError:
    """An error that says what a key expects, and not what stands there."""
    return PydanticCustomError("expected", "expected {what}", {"what": text})


def _form(pattern: str, what: str) -> AfterValidator:
    """All of a text has this form, which is told as `what`."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise expected(what)
        return value

    return AfterValidator(check)


def parse_duration(value: Any) -> timedelta:
    """`30d`, `12h`, `15m`, `30s`. Raises an error that says so."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", str(value).strip())
    if not match:
        raise expected("a duration such as 30d, 12h, 15m or 30s")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(value: timedelta) -> str:
    """The shortest form that `parse_duration` reads back."""
    seconds = int(value.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def _size(value: Any) -> int:
    try:
        return parse_size(value)
    except ValueError as exc:
        raise expected(str(exc)) from None


def _header(value: Any) -> Any:
    try:
        validate_header_name(str(value))
    except DjangoValidationError as exc:
        raise expected(f"a header that a gateway can map. {exc.messages[0]}") from None
    return value


def _url(value: Any) -> Any:
    # Form and scheme only: whether this portal may connect there is asked when it is applied.
    text = str(value)
    try:
        AddressPolicy(_EVERYWHERE).check_url(text)
    except AddressForbiddenError as exc:
        raise expected(f"a URL. {exc}") from None
    return text


def _version(value: Any) -> Any:
    # To Python, `true` and `1.0` are equal to 1.
    if type(value) is not int or value != 1:
        raise expected("1")
    return value


def _everywhere() -> Any:
    import ipaddress

    return (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


_EVERYWHERE = _everywhere()

Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Size = Annotated[int, BeforeValidator(_size)]
Header = Annotated[str, BeforeValidator(_header)]
Url = Annotated[str, BeforeValidator(_url)]
# YAML has `true` for a number only by mistake.
Count = Annotated[int, Field(ge=1, strict=True)]
Name = Annotated[str, Field(min_length=1, max_length=100)]
Region = Annotated[str, _form(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1")]
RoleArn = Annotated[
    str,
    _form(
        r"arn:aws[a-z-]*:iam::\d{12}:role/.+",
        "the ARN of a role such as arn:aws:iam::123456789012:role/name",
    ),
]
# A name, or an ARN for a secret of another account.
SecretId = Annotated[
    str,
    Field(max_length=512),
    _form(
        r"(arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:)?[A-Za-z0-9/_+=.@-]+",
        "the name or the ARN of a secret in Secrets Manager",
    ),
]
Hours = Annotated[
    str,
    _form(
        r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", "two times of day such as 22:00-04:00"
    ),
]
Alias = Annotated[
    str,
    _form(
        r"[A-Za-z0-9_-]{1,128}",
        "the name of an alias: letters, digits, hyphens and underscores, 128 at most",
    ),
]
# Of an API, and of what is in it.
Id = Annotated[
    str, _form(r"[a-z0-9]{1,64}", "an id as AWS gives it: small letters and digits, 64 at most")
]


# PostgreSQL stores no NUL, no database half a character, and no page shows the others.
_UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_UNFIT_IN_A_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_OF_LINES = {"description"}


class Part(BaseModel):
    """Unknown keys are errors, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name in _OF_LINES:
            unfit = _UNFIT
        else:
            unfit = _UNFIT_IN_A_LINE
            # YAML's `>` and `|` leave one at the end.
            value = value.rstrip("\n") if isinstance(value, str) else value
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and unfit.search(text):
                raise expected("text without control characters")
        return value


class FunctionSpec(Part):
    """Where a secret's value is checked."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    region: Region | None = None
    role_arn: RoleArn | None = None
    alias: Alias | None = None
    aliases: list[Alias] = []
    accepts: Literal["two", "one"] = "two"
    variable: Annotated[
        str,
        _form(
            r"[A-Za-z][A-Za-z0-9_]{1,99}",
            "the name of an environment variable: letters, digits and underscores, 100 at most",
        ),
    ] = "SECRET_HEADER"

    @model_validator(mode="after")
    def _aliases_are_a_pair(self) -> Self:
        if not self.aliases:
            return self
        if len(set(self.aliases)) != 2 or len(self.aliases) != 2:
            raise expected("two different names in aliases")
        if self.alias or self.accepts != "one":
            raise expected("aliases only with accepts: one and without alias")
        return self


class GatewaySpec(Part):
    """A sender that injects a secret's value."""

    type: Literal["rest", "http"]
    region: Region | None = None
    role_arn: RoleArn | None = None
    api_id: Id
    resource_id: Id | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "ANY"] | None = None
    integration_id: Id | None = None
    stage: Annotated[
        str,
        _form(
            r"\$default|[A-Za-z0-9_-]{1,128}",
            "the name of a stage: letters, digits, hyphens and underscores, or $default",
        ),
    ]
    url: Url | None = None

    @model_validator(mode="after")
    def _has_its_own_ids(self) -> Self:
        rest = self.resource_id is not None and self.method is not None
        if self.type == "rest" and (not rest or self.integration_id):
            raise expected("resource_id and method, and no integration_id, for a REST API")
        if self.type == "http" and (self.integration_id is None or self.resource_id or self.method):
            raise expected("integration_id, and neither resource_id nor method, for an HTTP API")
        return self


class SecretsManagerSpec(Part):
    """Where in AWS Secrets Manager a value stands; what is absent is as for the function."""

    id: SecretId | None = None
    region: Region | None = None
    role_arn: RoleArn | None = None


class SecretSpec(Part):
    """A secret header. Without `value_from_*` its value is generated once."""

    name: Name
    header: Header = "x-secret-header"
    value_from_env: (
        Annotated[str, _form(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable")]
        | None
    ) = None
    value_from_file: Annotated[str, Field(min_length=1)] | None = None
    rotate_every: Duration | None = None
    window: Hours | None = None
    jitter: Duration | None = None
    store: Literal["database", "secrets-manager"] = "database"
    secrets_manager: SecretsManagerSpec | None = None
    function: FunctionSpec | None = None
    gateways: list[GatewaySpec] = []

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.value_from_env and self.value_from_file:
            raise expected("value_from_env or value_from_file, not both")
        if (self.window or self.jitter) and not self.rotate_every:
            raise expected("rotate_every beside window and jitter")
        if self.secrets_manager and self.store != "secrets-manager":
            raise expected("secrets_manager only with store: secrets-manager")
        if self.store == "secrets-manager" and not self._has_an_id():
            raise expected("secrets_manager.id, since AWS takes no such name")
        return self

    def _has_an_id(self) -> bool:
        said = self.secrets_manager and self.secrets_manager.id
        return bool(said or re.fullmatch(r"[A-Za-z0-9/_+=.@-]+", self.name))

    def stored_at(self) -> StoredAt | None:
        """Where its value stands besides our database; None where it stands there alone."""
        if self.store != "secrets-manager":
            return None
        return stored_at(
            self.name,
            self.secrets_manager.model_dump() if self.secrets_manager else None,
            region=(self.function and self.function.region) or "",
            role_arn=(self.function and self.function.role_arn) or "",
        )


class SegmentsSpec(Part):
    """Parallel ranged fetch."""

    size: Annotated[Size, Field(ge=64 * 1024, le=2**30)]
    parallel: Annotated[int, Field(ge=1, le=64, strict=True)]


class PagesSpec(Part):
    """How to walk a paginated API."""

    items: Annotated[str, Field(min_length=1)]
    next: Annotated[str, Field(min_length=1)]
    format: Literal["ndjson", "json", "csv"]
    param: Annotated[str, Field(min_length=1)] | None = None
    start: Annotated[int, Field(ge=0, strict=True)] | None = None
    columns: list[Annotated[str, Field(min_length=1)]] | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.start is not None and self.param is None:
            raise expected("param beside start")
        if self.columns is not None and self.format != "csv":
            raise expected("columns only with format: csv")
        return self


class LimitsSpec(Part):
    """What one endpoint carries at most; absent: no limit."""

    concurrent: Count | None = None
    per_user: Count | None = None
    bytes_per_second: Size | None = None
    daily_bytes: Size | None = None


NUMBER = r"-?[0-9]+(\.[0-9]+)?"


class ParamSpec(Part):
    """Something that an end user may choose."""

    name: Annotated[
        str,
        _form(
            r"[A-Za-z_][A-Za-z0-9_.-]{0,63}",
            "a name of letters, digits, dots, hyphens and underscores, 64 at most, a letter first",
        ),
    ]
    label: str = ""
    type: Literal["text", "number", "date", "choice"] = "text"
    choices: list[str] = []
    required: bool = False
    default: str | None = None

    @model_validator(mode="after")
    def _has_choices_where_it_is_one(self) -> Self:
        if (self.type == "choice") != bool(self.choices):
            raise expected("choices exactly where type is choice")
        if self.choices and self.default is not None and self.default not in self.choices:
            raise expected("a default that is one of the choices")
        return self

    @model_validator(mode="after")
    def _has_a_default_of_its_type(self) -> Self:
        text = self.default or ""
        if self.default == "":
            raise expected("a default that says something, or none")
        if text and self.type == "number" and not re.fullmatch(NUMBER, text):
            raise expected("a default that is a number such as 12 or 0.5")
        if text and self.type == "date" and not _is_date(text):
            raise expected("a default that is a date such as 2026-01-31, in quotes")
        return self


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


# Which keys belong to which kind, beside those of every endpoint. The first set must be there.
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "function-url": ({"url"}, {"secret", "region", "role_arn", "follows", "bucket", "segments"}),
    "gateway": ({"url"}, {"secret", "region", "role_arn", "segments"}),
    "http": ({"url"}, {"secret", "segments"}),
    "pages": ({"url", "pages"}, {"secret"}),
    "lambda": ({"function", "region"}, {"secret", "role_arn", "follows", "bucket", "segments"}),
    "s3": ({"bucket", "key", "region"}, {"role_arn", "segments"}),
}
_OWN = {
    "url",
    "function",
    "bucket",
    "key",
    "region",
    "role_arn",
    "secret",
    "follows",
    "segments",
    "pages",
}
_AUTHS = {
    "function-url": {"none", "secret-header", "sigv4"},
    "gateway": {"none", "secret-header", "sigv4"},
    "http": {"none", "secret-header"},
    "pages": {"none", "secret-header"},
    "lambda": {"sigv4"},
    "s3": {"sigv4"},
}


class EndpointSpec(Part):
    """One export. Without `auth`, `lambda` and `s3` are signed and the other kinds are open."""

    slug: Annotated[
        str,
        _form(r"[a-z0-9-]{1,100}", "a slug: small letters, digits and hyphens, 100 at most"),
    ]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: str = ""
    kind: Literal["function-url", "lambda", "gateway", "s3", "http", "pages"]
    url: Url | None = None
    function: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    bucket: (
        Annotated[
            str,
            _form(
                r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
                "the name of a bucket: small letters, digits, dots and hyphens, 3 to 63",
            ),
        ]
        | None
    ) = None
    key: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    region: Region | None = None
    role_arn: RoleArn | None = None
    auth: Literal["secret-header", "sigv4", "none"] | None = None
    secret: str | None = None
    filename: Annotated[str, Field(max_length=200)] = ""
    groups: list[Name] | Literal["*"]
    segments: SegmentsSpec | None = None
    delivery: Literal["stream", "offload", "redirect"] = "stream"
    pages: PagesSpec | None = None
    params: list[ParamSpec] = []
    follows: Literal["s3"] | None = None
    keep_gzip: bool = False
    shareable: bool = False
    limits: LimitsSpec | None = None

    @property
    def effective_auth(self) -> str:
        return self.auth or ("sigv4" if self.kind in {"lambda", "s3"} else "none")

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        needed, allowed = _KEYS[self.kind]
        present = {name for name in _OWN if getattr(self, name) is not None}
        if missing := sorted(needed - present):
            raise expected(f"{', '.join(missing)} for kind {self.kind}")
        if foreign := sorted(present - needed - allowed):
            raise expected(f"no {', '.join(foreign)} for kind {self.kind}")
        if self.effective_auth not in _AUTHS[self.kind]:
            choice = " or ".join(sorted(_AUTHS[self.kind]))
            raise expected(f"auth: {choice} for kind {self.kind}")
        if self.effective_auth == "secret-header" and self.secret is None:
            raise expected("secret beside auth: secret-header")
        if self.effective_auth == "none" and self.secret is not None:
            raise expected("auth: secret-header beside secret")
        if self.effective_auth == "sigv4" and self.region is None:
            raise expected("region beside auth: sigv4")
        if self.follows and self.region is None:
            raise expected("region beside follows: s3")
        if self.keep_gzip and self.kind == "pages":
            raise expected("no keep_gzip for kind pages")
        if self.delivery == "redirect" and self.kind != "s3":
            raise expected("delivery: redirect only for kind s3")
        return self

    @model_validator(mode="after")
    def _is_signed_for_itself(self) -> Self:
        url = self.url if self.effective_auth == "sigv4" else None
        if self.kind == "function-url" and url and not may_be_signed(url):
            raise expected("a function's own URL beside auth: sigv4")
        return self

    @model_validator(mode="after")
    def _follows_into_its_bucket(self) -> Self:
        if self.bucket and self.kind != "s3" and not self.follows:
            raise expected(f"follows: s3 beside bucket for kind {self.kind}")
        return self

    @model_validator(mode="after")
    def _has_params_of_use(self) -> Self:
        if len({param.name for param in self.params}) < len(self.params):
            raise expected("params that each have a name of their own")
        if self.params and self.kind == "s3":
            raise expected("no params for kind s3")
        return self


class RegistrySpec(Part):
    """The whole file."""

    version: Annotated[Literal[1], BeforeValidator(_version)]
    secrets: list[SecretSpec] = []
    endpoints: list[EndpointSpec] = []
