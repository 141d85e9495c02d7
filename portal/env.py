"""The settings that an operator may make, read from the environment and checked at the start.

Each field below is one variable. Any secret may also be given as a file: `NAME_FILE`.
"""

import base64
import binascii
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

from portal import mail
from portal.units import parse_size

ROOT = Path(__file__).resolve().parent.parent

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


def _encryption_key(value: SecretStr) -> SecretStr:
    """32 bytes in URL-safe base64, with or without padding, in the form that Fernet takes."""
    text = value.get_secret_value()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ValueError("keys of 32 bytes in URL-safe base64, separated by commas, newest first")
    return SecretStr(base64.urlsafe_b64encode(raw).decode())


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


Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Networks = Annotated[
    list[Annotated[IPNetwork, BeforeValidator(_network)]], NoDecode, BeforeValidator(_split)
]
Keys = Annotated[
    list[Annotated[SecretStr, AfterValidator(_encryption_key)]], NoDecode, BeforeValidator(_split)
]
Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, BeforeValidator(parse_size)]
Seconds = Annotated[float, Field(gt=0)]


class Environment(BaseSettings):
    """What the environment says; `docs/settings.md` explains each variable."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", populate_by_name=True)

    state_dir: Path = Field(ROOT / "var", alias="SPILLWAY_STATE_DIR")
    secret_key: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None, alias="SPILLWAY_SECRET_KEY"
    )
    encryption_keys: Keys = Field([], alias="SPILLWAY_ENCRYPTION_KEYS")
    allowed_hosts: Names = Field(
        ["localhost", "127.0.0.1", "[::1]"], alias="SPILLWAY_ALLOWED_HOSTS"
    )
    debug: bool = Field(False, alias="SPILLWAY_DEBUG")
    https: bool = Field(False, alias="SPILLWAY_HTTPS")
    database_url: Annotated[SecretStr, AfterValidator(_database)] | None = Field(
        None, alias="DATABASE_URL"
    )
    broker_url: Annotated[SecretStr, _address_of("redis", "rediss", "amqp", "amqps")] | None = (
        Field(None, alias="CELERY_BROKER_URL")
    )
    redis_url: Annotated[SecretStr, _address_of("redis", "rediss", "unix")] | None = Field(
        None, alias="REDIS_URL"
    )
    private_origins: Networks = Field([], alias="SPILLWAY_PRIVATE_ORIGINS")
    offload: Literal["nginx"] | None = Field(None, alias="SPILLWAY_OFFLOAD")
    head_timeout: Seconds = Field(60, alias="SPILLWAY_HEAD_TIMEOUT")
    idle_timeout: Seconds = Field(60, alias="SPILLWAY_IDLE_TIMEOUT")
    client_timeout: Seconds = Field(300, alias="SPILLWAY_CLIENT_TIMEOUT")
    drain_timeout: Seconds = Field(3600, alias="SPILLWAY_DRAIN_TIMEOUT")
    user_concurrent: Count | None = Field(None, alias="SPILLWAY_USER_CONCURRENT")
    user_bytes_per_second: Size | None = Field(None, alias="SPILLWAY_USER_BYTES_PER_SECOND")
    user_daily_bytes: Size | None = Field(None, alias="SPILLWAY_USER_DAILY_BYTES")
    segment_memory: Size = Field(512 * 2**20, alias="SPILLWAY_SEGMENT_MEMORY")
    tick: Seconds = Field(30, alias="SPILLWAY_TICK")
    rotation_settle: Seconds = Field(60, alias="SPILLWAY_ROTATION_SETTLE")
    rotation_propagation: Seconds = Field(30, alias="SPILLWAY_ROTATION_PROPAGATION")
    rotation_drain: Seconds = Field(120, alias="SPILLWAY_ROTATION_DRAIN")
    rotation_consumers: Seconds = Field(3600, alias="SPILLWAY_ROTATION_CONSUMERS")
    rotation_lease: Seconds = Field(90, alias="SPILLWAY_ROTATION_LEASE")
    rotation_hold: Seconds = Field(15, alias="SPILLWAY_ROTATION_HOLD")
    drift_every: Seconds = Field(3600, alias="SPILLWAY_DRIFT_EVERY")
    doctor_every: Seconds = Field(6 * 3600, alias="SPILLWAY_DOCTOR_EVERY")
    base_url: Annotated[str, AfterValidator(_base)] | None = Field(None, alias="SPILLWAY_BASE_URL")
    email_url: Annotated[SecretStr, AfterValidator(_mail_server)] | None = Field(
        None, alias="SPILLWAY_EMAIL_URL"
    )
    email_from: Annotated[str | None, AfterValidator(_sender)] = Field(
        None, alias="SPILLWAY_EMAIL_FROM", validate_default=True
    )
    contact: str = Field("your administrator", alias="SPILLWAY_CONTACT")


SECRETS = {
    "SPILLWAY_SECRET_KEY": "secret_key",
    "SPILLWAY_ENCRYPTION_KEYS": "encryption_keys",
    "DATABASE_URL": "database_url",
    "CELERY_BROKER_URL": "broker_url",
    "REDIS_URL": "redis_url",
    "SPILLWAY_EMAIL_URL": "email_url",
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
    expected = str(problem["msg"]).removeprefix("Value error, ")
    place = str(problem["loc"][0])
    # pydantic names a variable that is missing by its field.
    field = Environment.model_fields.get(place)
    return f"{field.alias if field else place} is wrong. Expected: {expected}"


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


def stored_key(path: Path) -> str:
    """The key in `path`, made there on first use and readable by its owner alone.

    For the embedded defaults: a portal that was given no key keeps one beside its database. Two
    processes that start at once agree: only one of them can create the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    if not path.exists():
        draft.touch(mode=0o600)
        draft.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="utf-8").strip()
