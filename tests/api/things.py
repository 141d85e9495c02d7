"""One of each thing, all of one group, which others may neither see nor touch."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from streams import audit
from streams.delivery import sharing
from streams.models import (
    Checkup,
    DoctorRun,
    Download,
    Endpoint,
    Rotation,
    Secret,
    SecretFunction,
    ShareLink,
    User,
    Why,
)
from streams.rotation import starting

VALUE = "canary-value-of-the-secret"
OLD_VALUE = "canary-value-before-that"


@dataclass(frozen=True)
class Things:
    endpoint: Endpoint
    secret: Secret
    rotation: Rotation
    download: UUID
    link: str


def made_for(owner: User) -> Things:
    """An endpoint of `owner`'s group with its secret, a rotation, a download and a link."""
    finance = Group.objects.create(name="finance")
    owner.groups.add(finance)
    secret = Secret.objects.create(name="aws/orders", rotate_every=timedelta(days=30))
    with transaction.atomic():
        secret.set_value(OLD_VALUE)
        secret.set_value(VALUE)
    SecretFunction.objects.create(secret=secret, name="orders", region="eu-central-1")
    endpoint = Endpoint.objects.create(
        slug="orders", title="Orders", kind="http", url="https://example.com/orders",
        auth="secret-header", secret=secret, operators=finance, shareable=True,
    )  # fmt: skip
    endpoint.grants.create(group=finance)
    download = Download.objects.create(
        endpoint=endpoint, slug="orders", user=owner, username=owner.username, state="complete",
        sent=5, size=5, total=5, sha256="ab" * 32, finished_at=timezone.now(),
    )  # fmt: skip
    soon = timezone.now() + timedelta(days=1)
    sharing.make(owner, endpoint, query="", expires_at=soon, most=1)
    rotation = starting.start(secret, by=owner.username)
    nothing: dict[str, Any] = {"findings": [], "skipped": [], "since": None, "new": [], "gone": []}
    for one in (endpoint, None):
        DoctorRun.objects.create(
            checkup=Checkup.objects.get_or_create(endpoint=one)[0], why=Why.DEMAND, seconds=1,
            health="healthy", errors=0, warnings=0, passed=3, skipped=0, report=nothing,
        )  # fmt: skip
    audit.record("tests.made", by=owner, what="orders")
    return Things(endpoint, secret, rotation, download.pk, ShareLink.objects.get().key)
