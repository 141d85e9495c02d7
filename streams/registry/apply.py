"""Makes the stored registry what a file says."""

import os
import secrets as random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.db.models import QuerySet

from streams import audit
from streams.access.addresses import address_policy
from streams.models import (
    Checkup,
    Endpoint,
    Gateway,
    Grant,
    Secret,
    SecretFunction,
    SecretVersion,
    User,
    Why,
)
from streams.models.fields import UndecryptableError
from streams.models.secrets import validate_value
from streams.net.errors import AddressForbiddenError
from streams.registry import adoption
from streams.registry.adoption import Found
from streams.registry.parse import RegistryError
from streams.registry.spec import EndpointSpec, Part, RegistrySpec, SecretSpec

# Characters that are read of a file with a value. One that needs more is too long.
LARGEST_FILE = 4096

# What must stay as it is while a rotation is under way.
_ROTATED = {"header", "store", "secrets_manager", "function", "gateways"}


@dataclass(frozen=True)
class Change:
    """What became of one object: `what` is created, changed, unchanged or removed."""

    what: str
    kind: str
    name: str
    fields: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        details = f" ({', '.join(self.fields)})" if self.fields else ""
        return f"{self.what} {self.kind} {self.name}{details}"


def apply(
    spec: RegistrySpec, *, dry_run: bool = False, prune: bool = False, by: User | None = None
) -> list[Change]:
    """Makes the registry what `spec` says, wholly or not at all.

    `prune` removes what it does not name. `by` is who asked, if they have signed in. Raises
    `RegistryError` with every problem; nothing has changed then.
    """
    # Before the transaction, which must not be open while AWS is asked.
    found = adoption.found(spec)
    changes: list[Change] = []
    try:
        with transaction.atomic():
            # Two at once would both find an object missing: the second one waits here.
            list(Secret.objects.select_for_update().values_list("pk"))
            changes = list(_applied(spec, found, prune=prune))
            if not dry_run:
                _record(changes, by)
            # Soon, by a worker; those that are new are examined anyway.
            Checkup.objects.filter(endpoint__in=touched(changes)).ask(Why.CHANGE)
            transaction.set_rollback(dry_run)
    except models.ProtectedError as exc:
        users = sorted(str(getattr(obj, "slug", obj)) for obj in exc.protected_objects)
        raise RegistryError([f"a secret is still used by: {', '.join(users)}"]) from exc
    except IntegrityError as exc:
        raise RegistryError(["somebody else changed the registry at the same time; again"]) from exc
    return changes


_VERBS = {"created": "added", "changed": "changed", "removed": "deleted"}


def _record(changes: list[Change], by: User | None) -> None:
    for change in changes:
        if verb := _VERBS.get(change.what):
            audit.record(
                f"{change.kind}.{verb}",
                by=by,
                what=change.name,
                details={"changes": ", ".join(change.fields)} if change.fields else {},
            )


def touched(changes: list[Change]) -> QuerySet[Endpoint]:
    """The endpoints that these changes are about, themselves or by their secret."""
    names: dict[str, list[str]] = {"endpoint": [], "secret": []}
    for change in changes:
        if change.what in {"created", "changed"}:
            names[change.kind].append(change.name)
    secrets = Secret.objects.filter(name__in=names["secret"])
    return Endpoint.objects.filter(slug__in=names["endpoint"]) | Endpoint.objects.hanging_on(
        secrets
    )


def _applied(spec: RegistrySpec, found: Found, *, prune: bool) -> Iterator[Change]:
    problems: list[str] = []
    changes: list[Change] = []
    for index, secret in enumerate(spec.secrets):
        try:
            changes.append(_apply_secret(secret, found))
        except (RegistryError, ValidationError) as exc:
            problems += _named(f"secrets[{index}]", exc)
    for index, endpoint in enumerate(spec.endpoints):
        try:
            changes.append(_apply_endpoint(endpoint))
        except (RegistryError, ValidationError) as exc:
            problems += _named(f"endpoints[{index}]", exc)
    if problems:
        raise RegistryError(problems)
    yield from changes
    if prune:
        yield from _prune(spec)


def _named(where: str, exc: RegistryError | ValidationError) -> list[str]:
    texts = exc.problems if isinstance(exc, RegistryError) else exc.messages
    return [f"{where}.{text}" if isinstance(exc, RegistryError) else f"{where}: {text}"
            for text in texts]  # fmt: skip


def _prune(spec: RegistrySpec) -> Iterator[Change]:
    slugs = {endpoint.slug for endpoint in spec.endpoints}
    for endpoint in Endpoint.objects.exclude(slug__in=slugs).order_by("slug"):
        endpoint.delete()
        yield Change("removed", "endpoint", endpoint.slug)
    names = {secret.name for secret in spec.secrets}
    for secret in Secret.objects.exclude(name__in=names):
        if secret.is_rotating():
            raise RegistryError([f"a rotation of {secret.name} is under way"])
        secret.delete()
        yield Change("removed", "secret", secret.name)


def _apply_secret(spec: SecretSpec, found: Found) -> Change:
    wanted = {
        "header": spec.header,
        "rotate_every": spec.rotate_every,
        "window": spec.window,
        "jitter": spec.jitter,
        "store": spec.store,
        "secrets_manager": _said(spec.secrets_manager),
    }
    secret, created = Secret.objects.get_or_create(name=spec.name, defaults=wanted)
    changed = [] if created else _update(secret, wanted)
    if _apply_function(secret, spec) and not created:
        changed.append("function")
    if _apply_gateways(secret, spec) and not created:
        changed.append("gateways")
    if _apply_value(secret, spec, found) and not created:
        changed.append("value")
    if set(changed) & _ROTATED and secret.is_rotating():
        raise RegistryError([f"a rotation of {spec.name} is under way: {', '.join(changed)}"])
    return _change("secret", spec.name, created=created, fields=changed)


def _said(part: Part | None) -> dict[str, Any] | None:
    """What a part says; one that says nothing is as good as absent."""
    return (part and part.model_dump(exclude_none=True)) or None


def _change(kind: str, name: str, *, created: bool, fields: list[str]) -> Change:
    if created:
        return Change("created", kind, name)
    return Change("changed" if fields else "unchanged", kind, name, sorted(fields))


def _update(row: models.Model, wanted: dict[str, Any]) -> list[str]:
    changed = [name for name, value in wanted.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, wanted[name])
    if changed:
        row.save(update_fields=[*changed, *(["updated_at"] if hasattr(row, "updated_at") else [])])
    return changed


def _apply_function(secret: Secret, spec: SecretSpec) -> bool:
    held = SecretFunction.objects.filter(secret=secret).first()
    if spec.function is None:
        if held:
            held.delete()
        return held is not None
    values = _texts(spec.function.model_dump())
    if held is None:
        SecretFunction.objects.create(secret=secret, **values)
        return True
    return bool(_update(held, values))


def _apply_gateways(secret: Secret, spec: SecretSpec) -> bool:
    wanted = [_texts(gateway.model_dump()) for gateway in spec.gateways]
    names = [f.name for f in Gateway._meta.concrete_fields if f.name not in {"id", "secret"}]
    held = list(secret.gateways.order_by("pk").values(*names))
    if held == wanted:
        return False
    # Rows that stay keep their identity: rotations refer to them.
    for row in secret.gateways.all():
        if {name: getattr(row, name) for name in names} not in wanted:
            row.delete()
    for values in wanted:
        if values not in held:
            gateway = Gateway(secret=secret, **values)
            gateway.full_clean(exclude=["secret"])
            gateway.save()
    return True


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    """A text column has no null: what is absent is empty."""
    return {name: "" if value is None else value for name, value in values.items()}


def _apply_value(secret: Secret, spec: SecretSpec, found: Found) -> bool:
    current = secret.versions.filter(state="current").defer("value").first()
    value = _given_value(spec)
    if value is None:
        if current is not None:
            return False
        stands = adoption.of(spec, found)
        if stands is not None:
            secret.set_value(_checked(stands.value, "store"), external_id=stands.version)
            return True
        value = random.token_urlsafe(32)
    if current is not None and _has(current, value):
        return False
    secret.set_value(value)
    return True


def _has(version: SecretVersion, value: str) -> bool:
    try:
        return random.compare_digest(version.value, value)
    except UndecryptableError:
        # Its key is lost: that is why it is given anew.
        return False


def _given_value(spec: SecretSpec) -> str | None:
    if spec.value_from_env:
        value = os.environ.get(spec.value_from_env)
        if not value:
            raise RegistryError([f"value_from_env: {spec.value_from_env} is not set"])
        return _checked(value, "value_from_env")
    if spec.value_from_file:
        file = Path(spec.value_from_file)
        try:
            if file.exists() and not file.is_file():
                # Of a pipe or a device there may be no end.
                raise RegistryError(["value_from_file: expected a regular file"])
            with file.open(encoding="utf-8") as opened:
                text = opened.read(LARGEST_FILE).strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise RegistryError(
                [f"value_from_file: cannot be read ({type(exc).__name__})"]
            ) from exc
        return _checked(text, "value_from_file")
    return None


def _checked(value: str, key: str) -> str:
    try:
        validate_value(value)
    except ValidationError as exc:
        raise RegistryError([f"{key}: {exc.messages[0]}"]) from None
    return value


def _apply_endpoint(spec: EndpointSpec) -> Change:
    wanted = _texts(
        {
            name: getattr(spec, name)
            for name in (
                "title", "description", "kind", "url", "function", "bucket", "key", "region",
                "role_arn", "filename", "delivery", "follows",
            )
        }
    ) | {
        "auth": spec.effective_auth,
        "keep_gzip": spec.keep_gzip,
        "shareable": spec.shareable,
        "secret": _secret(spec),
        "everyone": spec.groups == "*",
        "segments": spec.segments and spec.segments.model_dump(),
        "pages": spec.pages and spec.pages.model_dump(exclude_none=True),
        "limits": spec.limits and spec.limits.model_dump(exclude_none=True),
        "params": [param.model_dump(exclude_defaults=True) for param in spec.params],
    }  # fmt: skip
    _check_address(spec)
    endpoint, created = Endpoint.objects.get_or_create(slug=spec.slug, defaults=wanted)
    changed = [] if created else _update(endpoint, wanted)
    if _apply_groups(endpoint, spec) and not created and "everyone" not in changed:
        changed.append("groups")
    fields = ["groups" if name == "everyone" else name for name in changed]
    return _change("endpoint", spec.slug, created=created, fields=fields)


def _check_address(spec: EndpointSpec) -> None:
    if spec.url is None:
        return
    try:
        address_policy().check_url(spec.url)
    except AddressForbiddenError as exc:
        raise RegistryError([f"url: {exc}"]) from None


def _secret(spec: EndpointSpec) -> Secret | None:
    if spec.secret is None:
        return None
    secret = Secret.objects.filter(name=spec.secret).first()
    if secret is None:
        raise RegistryError([f"secret: there is no secret {spec.secret}"])
    return secret


def _apply_groups(endpoint: Endpoint, spec: EndpointSpec) -> bool:
    names = set() if spec.groups == "*" else set(spec.groups)
    held = set(endpoint.grants.lasting().values_list("group__name", flat=True))
    for name in names:
        Group.objects.get_or_create(name=name)
    # What is lent for a time stays, unless the file has it for good.
    endpoint.grants.lasting().exclude(group__name__in=names).delete()
    endpoint.grants.filter(group__name__in=names).update(expires_at=None)
    groups = Group.objects.filter(name__in=names)
    Grant.objects.bulk_create(
        [Grant(endpoint=endpoint, group=group) for group in groups], ignore_conflicts=True
    )
    return held != names
