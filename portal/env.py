"""The settings that an operator may make, read from the environment and checked at the start.

Each field below is one variable, whose description `/operate/settings/` shows. Any secret may
also be given as a file: `NAME_FILE`.
"""

import base64
import binascii
import contextlib
import ipaddress
import os
import re
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from portal import mail, oidc, wanted
from portal.units import parse_size

ROOT = Path(__file__).resolve().parent.parent

# Those that there are catalogues for in `locale/`, each by the name that its speakers give it.
LANGUAGES = {"en-gb": "English", "de": "Deutsch"}

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _network(value: Any) -> IPNetwork:
    try:
        return ipaddress.ip_network(str(value))
    except ValueError:
        # The library's own message repeats the value, which we do for no setting.
        raise ValueError("a comma-separated list of networks such as 10.0.0.0/8") from None


def _host(value: str) -> str:
    """As Django compares it: with neither scheme nor port nor path."""
    if not re.fullmatch(r"\*|\.?\w[\w.-]*|\[[0-9a-f:.]+\]", value, re.ASCII | re.IGNORECASE):
        raise ValueError("a comma-separated list of names such as exports.example.com")
    return value


_KEYS = "keys of 32 bytes in URL-safe base64, separated by commas, newest first"


def _encryption_key(value: SecretStr) -> SecretStr:
    """32 bytes in URL-safe base64, with or without padding, in the form that Fernet takes."""
    text = value.get_secret_value()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ValueError(_KEYS)
    return SecretStr(base64.urlsafe_b64encode(raw).decode())


def _one_at_least(value: Any) -> Any:
    """`"$NEW,$OLD"` of two that are not set would else be the key that is made here."""
    if not (parts := _split(value)) and isinstance(value, str):
        raise ValueError(_KEYS)
    return parts


def _long_enough(value: SecretStr) -> SecretStr:
    if len(value.get_secret_value()) < 32:
        raise ValueError("at least 32 characters of random text")
    return value


def _database(value: SecretStr) -> SecretStr:
    try:
        engine = dj_database_url.parse(value.get_secret_value())["ENGINE"]
    except (ValueError, KeyError):
        engine = ""
    if engine not in {"django.db.backends.sqlite3", "django.db.backends.postgresql"}:
        raise ValueError("postgres://user:password@host:5432/name or sqlite:////path/to/file")
    return value


def _address_of(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        scheme, found, _ = value.get_secret_value().partition("://")
        if not found or scheme not in schemes:
            raise ValueError(f"a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return value

    return AfterValidator(check)


def _mail_server(value: SecretStr) -> SecretStr:
    mail.parse(value.get_secret_value())
    return value


def _sender(value: str | None, info: ValidationInfo) -> str | None:
    if value is not None:
        return mail.check_sender(value)
    if info.data.get("email_url") is not None:
        raise ValueError("the address that mails come from, since SPILLWAY_EMAIL_URL is set")
    return None


def _language(value: str) -> str:
    if value not in LANGUAGES:
        raise ValueError(" or ".join(LANGUAGES))
    return value


def _base(value: str) -> str:
    """The portal's own address, with no slash at its end."""
    url = value.rstrip("/")
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not re.fullmatch(r"[^\s?#@\\]+", url, re.ASCII):
        raise ValueError("the portal's own address, such as https://exports.example.com")
    return url


def _(text: str) -> str:
    """Marks it for translation, which is done where it is shown: there is no Django yet."""
    return text


Hosts = Annotated[list[Annotated[str, AfterValidator(_host)]], NoDecode, BeforeValidator(_split)]
Networks = Annotated[
    list[Annotated[IPNetwork, BeforeValidator(_network)]], NoDecode, BeforeValidator(_split)
]
Keys = Annotated[
    list[Annotated[SecretStr, AfterValidator(_encryption_key)]],
    NoDecode,
    BeforeValidator(_one_at_least),
]
BROKERS = ("redis", "rediss", "amqp", "amqps", "sqs")
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, BeforeValidator(parse_size)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Days = Annotated[int, Field(ge=1, le=3650)]


class Environment(BaseSettings):
    """What the environment says; `docs/settings.md` explains each variable."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", populate_by_name=True)

    state_dir: Path = Field(
        ROOT / "var",
        alias="SPILLWAY_STATE_DIR",
        description=_(
            "The embedded database and broker, keys that were made, collected static files."
        ),
    )
    secret_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None,
        alias="SPILLWAY_SECRET_KEY",
        description=_("Signs sessions and keys fingerprints. All processes share one."),
    )
    encryption_keys: Keys = Field(
        [],
        alias="SPILLWAY_ENCRYPTION_KEYS",
        description=_("Encrypt stored secrets; the newest is the first."),
    )
    allowed_hosts: Hosts = Field(
        ["localhost", "127.0.0.1", "[::1]"],
        alias="SPILLWAY_ALLOWED_HOSTS",
        description=_("Host names that the portal answers to."),
    )
    debug: bool = Field(
        False,
        alias="SPILLWAY_DEBUG",
        description=_("Django's debug pages. Never where others can reach it."),
    )
    https: bool = Field(
        False,
        alias="SPILLWAY_HTTPS",
        description=_("TLS ends in a proxy in front: redirects to https, secure cookies, HSTS."),
    )
    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        None,
        alias="DATABASE_URL",
        description=_("The database. By default SQLite in the state folder."),
    )
    broker_url: Annotated[SecretStr, _address_of(*BROKERS)] | None = Field(
        None,
        alias="CELERY_BROKER_URL",
        description=_("What rings workers. By default a folder in the state folder."),
    )
    redis_url: Annotated[SecretStr, _address_of("redis", "rediss", "unix")] | None = Field(
        None, alias="REDIS_URL", description=_("Where processes share caches and limits.")
    )
    private_origins: Networks = Field(
        [],
        alias="SPILLWAY_PRIVATE_ORIGINS",
        description=_("Networks that origins and webhooks may be in although they are private."),
    )
    offload: Literal["nginx"] | None = Field(
        None,
        alias="SPILLWAY_OFFLOAD",
        description=_("Whether nginx carries exports that are to be delivered so."),
    )
    offload_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None,
        alias="SPILLWAY_OFFLOAD_KEY",
        description=_("What nginx shows to be told how to reach an origin."),
    )
    metrics_token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None,
        alias="SPILLWAY_METRICS_TOKEN",
        description=_("What Prometheus shows to read /metrics. Without it, this machine may."),
    )
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        None,
        alias="SPILLWAY_LOG_LEVEL",
        description=_("How much the portal writes into its log."),
    )
    head_timeout: Seconds = Field(
        60,
        alias="SPILLWAY_HEAD_TIMEOUT",
        description=_("Seconds for an origin to connect and to send its whole head."),
    )
    idle_timeout: Seconds = Field(
        60,
        alias="SPILLWAY_IDLE_TIMEOUT",
        description=_("Seconds of silence after which an origin is given up."),
    )
    client_timeout: Seconds = Field(
        300,
        alias="SPILLWAY_CLIENT_TIMEOUT",
        description=_("Seconds after which a client that reads nothing is given up."),
    )
    drain_timeout: Seconds = Field(
        3600,
        alias="SPILLWAY_DRAIN_TIMEOUT",
        description=_("Seconds that running downloads get after SIGTERM."),
    )
    user_concurrent: Count | None = Field(
        None,
        alias="SPILLWAY_USER_CONCURRENT",
        description=_("Downloads of one user at a time, over all exports."),
    )
    user_bytes_per_second: Size | None = Field(
        None,
        alias="SPILLWAY_USER_BYTES_PER_SECOND",
        description=_("Bytes a second of one user, over all downloads and processes."),
    )
    user_daily_bytes: Size | None = Field(
        None,
        alias="SPILLWAY_USER_DAILY_BYTES",
        description=_("Bytes of one user from midnight to midnight (UTC)."),
    )
    segment_memory: Size = Field(
        512 * 2**20,
        alias="SPILLWAY_SEGMENT_MEMORY",
        description=_("Bytes that the segments of one process may hold ahead of clients."),
    )
    tick: Seconds = Field(
        30,
        alias="SPILLWAY_TICK",
        description=_("Seconds between two looks of the scheduler at what is due."),
    )
    rotation_settle: Seconds = Field(
        60,
        alias="SPILLWAY_ROTATION_SETTLE",
        description=_("Seconds for which a function's old environments go on after an update."),
    )
    rotation_propagation: Seconds = Field(
        30,
        alias="SPILLWAY_ROTATION_PROPAGATION",
        description=_("Seconds until a deployment of API Gateway has reached all requests."),
    )
    rotation_drain: Seconds = Field(
        120,
        alias="SPILLWAY_ROTATION_DRAIN",
        description=_("Seconds for requests that are under way in a rotation."),
    )
    rotation_consumers: Seconds = Field(
        3600,
        alias="SPILLWAY_ROTATION_CONSUMERS",
        description=_("Seconds for which readers of Secrets Manager may keep a value."),
    )
    rotation_lease: Seconds = Field(
        90,
        alias="SPILLWAY_ROTATION_LEASE",
        description=_("Seconds after which another worker takes over a rotation."),
    )
    rotation_hold: Seconds = Field(
        15,
        alias="SPILLWAY_ROTATION_HOLD",
        description=_("Seconds for which a download refused in a rotation is held."),
    )
    drift_every: Seconds = Field(
        3600,
        alias="SPILLWAY_DRIFT_EVERY",
        description=_("Seconds between two looks whether AWS still has the current value."),
    )
    doctor_every: Seconds = Field(
        6 * 3600,
        alias="SPILLWAY_DOCTOR_EVERY",
        description=_("Seconds between two runs of the doctor over an endpoint."),
    )
    base_url: Annotated[str, AfterValidator(_base)] | None = Field(
        None,
        alias="SPILLWAY_BASE_URL",
        description=_("The portal's own address, for links in notices and for the doctor."),
    )
    email_url: Annotated[SecretStr, AfterValidator(_mail_server)] | None = Field(
        None, alias="SPILLWAY_EMAIL_URL", description=_("The mail server for notices.")
    )
    email_from: Annotated[str | None, AfterValidator(_sender)] = Field(
        None,
        alias="SPILLWAY_EMAIL_FROM",
        validate_default=True,
        description=_("The address that mails come from."),
    )
    language: Annotated[str, AfterValidator(_language)] = Field(
        "en-gb",
        alias="SPILLWAY_LANGUAGE",
        description=_("Of mails, and of pages for browsers that ask for none of ours."),
    )
    contact: str = Field(
        _("your administrator"),
        alias="SPILLWAY_CONTACT",
        description=_("Whom end users are told to ask."),
    )
    oidc_providers: Annotated[list[oidc.Provider], NoDecode, BeforeValidator(oidc.parse)] = Field(
        [],
        alias="SPILLWAY_OIDC_PROVIDERS",
        description=_("Providers of OpenID Connect that users may sign in by."),
    )
    token_max_life: Days = Field(
        365,
        alias="SPILLWAY_TOKEN_MAX_DAYS",
        description=_("Days for which a token that users make may last."),
    )
    # Limits look one day back, and the overview thirty.
    keep_downloads: Annotated[int, Field(ge=31, le=36_500)] | None = Field(
        None,
        alias="SPILLWAY_KEEP_DOWNLOADS_DAYS",
        description=_("Days for which the records of downloads are kept; without it, for ever."),
    )


SECRETS = {
    "SPILLWAY_SECRET_KEY": "secret_key",
    "SPILLWAY_ENCRYPTION_KEYS": "encryption_keys",
    "SPILLWAY_OFFLOAD_KEY": "offload_key",
    "SPILLWAY_METRICS_TOKEN": "metrics_token",
    "DATABASE_URL": "database_url",
    "CELERY_BROKER_URL": "broker_url",
    "REDIS_URL": "redis_url",
    "SPILLWAY_EMAIL_URL": "email_url",
    "SPILLWAY_OIDC_PROVIDERS": "oidc_providers",
}


def read() -> Environment:
    """Reads the environment.

    Raises `ImproperlyConfigured` with the variable's name and what it expected, never its value.
    """
    try:
        return Environment(**_from_files())
    except ValidationError as exc:
        problems = exc.errors(include_input=False, include_url=False)
        raise ImproperlyConfigured("; ".join(_sentence(problem) for problem in problems)) from None


def _sentence(problem: Any) -> str:
    place = str(problem["loc"][0])
    # pydantic names a variable that is missing by its field.
    field = Environment.model_fields.get(place)
    return f"{field.alias if field else place} is wrong. Expected: {wanted.phrase(problem)}"


def _from_files() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        if os.environ.get(name):
            raise ImproperlyConfigured(
                f"{name} and {name}_FILE are both set. Expected: one of them"
            )
        try:
            found[name] = Path(path).read_text(encoding="utf-8").strip()
        except OSError as exc:
            raise ImproperlyConfigured(
                f"{name}_FILE is wrong. Expected: a file that can be read ({exc.strerror})"
            ) from None
    return found


def stored_key(path: Path, *, size: int = 32) -> str:
    """The key in `path`, made there of `size` bytes on first use, readable by its owner alone.

    For the embedded defaults: a portal that was given no key keeps one beside its database. Two
    processes that start at once agree: only one of them can create the file. Raises
    `ImproperlyConfigured` where it cannot be made or read.
    """
    try:
        return _stored_key(path, size=size)
    except OSError as exc:
        raise ImproperlyConfigured(
            "SPILLWAY_STATE_DIR is wrong. Expected: a folder that can be made and written to "
            f"({exc.strerror})"
        ) from None


def private(path: Path) -> Path:
    """`path`, of a file that only its owner can read, if it is made now.

    Where it cannot be made, whoever opens it says why.
    """
    with contextlib.suppress(OSError):
        path.touch(mode=0o600)
    return path


def _stored_key(path: Path, *, size: int) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(base64.urlsafe_b64encode(secrets.token_bytes(size)).decode())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()
