"""What is registered and who uses it: a thousand rows or some thousands of each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from streams.access.roles import Role
from streams.models import (
    ApiToken,
    Channel,
    Checkup,
    DoctorRun,
    DriftCheck,
    Endpoint,
    Gateway,
    Grant,
    Health,
    Installation,
    Kind,
    Mode,
    Notice,
    NoticeEvent,
    Rotation,
    RotationEvent,
    RotationState,
    Secret,
    SecretFunction,
    SecretVersion,
    Setup,
    SetupState,
    ShareLink,
    User,
    Why,
)
from streams.models.secrets import fingerprint

GROUPS = 20
# One in so many is operated by a group.
CLOSED = 20
RUNS = 10
ROTATIONS = 5
NOTICES = 5
_STEPS = ("preflight", "admit both", "switch the gateways", "prove", "settle")
_KINDS = [Kind.FUNCTION_URL, Kind.HTTP, Kind.GATEWAY, Kind.LAMBDA, Kind.S3]
_HEALTHS = [*[Health.HEALTHY] * 40, *[Health.DEGRADED] * 3, *[Health.FAILING] * 2]
_SENTENCE = "The function holds another value than this portal."


@dataclass(frozen=True)
class People:
    users: Sequence[User]
    groups: Sequence[Group]


def people(count: int, now: datetime, password: str) -> People:
    """`count` end users, and one of staff of each role, by the role's name, with this password."""
    groups = [*Group.objects.bulk_create(Group(name=f"team {n:02}") for n in range(GROUPS))]
    usable, none = make_password(password), make_password(None)
    users = [User(username=f"user{n:05}", password=none, date_joined=now) for n in range(count)]
    staff = [User(username=str(one), password=usable, is_staff=True) for one in Role]
    users = User.objects.bulk_create(users)
    for user in User.objects.bulk_create(staff):
        user.groups.add(Group.objects.get(name=user.username))
    membership: Any = User.groups.through
    membership.objects.bulk_create(
        membership(user=user, group=groups[n % GROUPS]) for n, user in enumerate(users)
    )
    ApiToken.objects.bulk_create(
        ApiToken(user=user, name="cron", key=f"{n:016x}", digest="0" * 64, created_at=now)
        for n, user in enumerate(users)
    )
    return People(users, groups)


def secrets(count: int, dice: random.Random, now: datetime) -> Sequence[Secret]:
    """With a value, a function, a gateway and rotations that are over. One in fifty is overdue."""
    made = Secret.objects.bulk_create(
        Secret(name=f"secret-{n:04}", rotate_every=timedelta(days=[30, 90, 365, 5][n % 4]))
        for n in range(count)
    )
    values = [f"made-up-{dice.getrandbits(128):032x}" for _ in made]
    versions = SecretVersion.objects.bulk_create(
        SecretVersion(secret=one, number=1, value=value, fingerprint=fingerprint(value),
                      state="current")
        for one, value in zip(made, values, strict=True)
    )  # fmt: skip
    SecretVersion.objects.update(created_at=now - timedelta(days=40))
    SecretFunction.objects.bulk_create(
        SecretFunction(secret=one, name=f"export-{one.name}", region="eu-central-1") for one in made
    )
    Gateway.objects.bulk_create(
        Gateway(secret=one, type="http", region="eu-central-1", api_id=f"api{n:04}", stage="prod",
                integration_id="one", url=f"https://api{n:04}.example.com/prod")
        for n, one in enumerate(made)
    )  # fmt: skip
    DriftCheck.objects.bulk_create(
        DriftCheck(secret=one, looked_at=now, found_at=now if n % 50 == 7 else None,
                   found="The gateway sends another value." if n % 50 == 7 else "")
        for n, one in enumerate(made)
    )  # fmt: skip
    _rotations(versions, now)
    return made


def _rotations(versions: Sequence[SecretVersion], now: datetime) -> None:
    failed = RotationState.FAILED
    rotations = Rotation.objects.bulk_create(
        Rotation(
            secret_id=version.secret_id, mode=Mode.OVERLAP, old=version, step="settle",
            state=failed if n % 40 == 11 and not nth else RotationState.COMPLETED,
            problem="The function is gone." if n % 40 == 11 and not nth else "",
            requested_by="schedule", started_at=now - timedelta(days=4 + 7 * nth, minutes=n),
            finished_at=now - timedelta(days=4 + 7 * nth, minutes=n - 9),
        )
        for nth in range(ROTATIONS)
        for n, version in enumerate(versions)
    )  # fmt: skip
    RotationEvent.objects.bulk_create(
        RotationEvent(rotation=one, at=one.started_at, step=step, text="It was done, and proven.")
        for one in rotations
        for step in _STEPS
    )


def endpoints(
    count: int,
    dice: random.Random,
    now: datetime,
    owners: Sequence[Secret],
    groups: Sequence[Group],
) -> Sequence[Endpoint]:
    """Of most kinds, with grants, and with what the doctor found."""
    made = Endpoint.objects.bulk_create(
        _endpoint(n, owners[n % len(owners)], groups) for n in range(count)
    )
    Grant.objects.bulk_create(
        Grant(endpoint=one, group=group)
        for n, one in enumerate(made)
        for group in dice.sample(groups, 1 + n % 3)
    )
    checkups = Checkup.objects.bulk_create(
        _checkup(one, dice.choice(_HEALTHS), now) for one in [*made, None]
    )
    _shared(made, groups[0], now)
    # The earliest first, as they are made: their numbers are their order.
    DoctorRun.objects.bulk_create(
        _run(one, back, dice, now) for back in reversed(range(RUNS)) for one in checkups
    )
    return made


def _shared(endpoints: Sequence[Endpoint], group: Group, now: datetime) -> None:
    """Links to them by one user, and for each a set-up that is over."""
    user = group.user_set.order_by("pk")[0]
    ShareLink.objects.bulk_create(
        ShareLink(
            endpoint=one, user=user, key=f"{n:012x}", digest="0" * 64, most=5,
            expires_at=now + timedelta(days=n % 30),
        )
        for n, one in enumerate(endpoints)
    )  # fmt: skip
    Setup.objects.bulk_create(
        Setup(
            slug=one.slug, function=f"export-{n:04}", request={}, state=SetupState.COMPLETED,
            requested_by="operator", finished_at=now,
        )
        for n, one in enumerate(endpoints)
    )  # fmt: skip


def _endpoint(n: int, secret: Secret, groups: Sequence[Group]) -> Endpoint:
    kind = _KINDS[n % len(_KINDS)]
    host = f"https://origin{n:04}.example.com/export"
    fields: dict[Kind, dict[str, Any]] = {
        Kind.FUNCTION_URL: {"url": host, "auth": "secret-header", "secret": secret},
        Kind.GATEWAY: {"url": f"https://api{n // len(_KINDS):04}.example.com/prod"},
        Kind.LAMBDA: {"function": f"export-{n:04}", "auth": "sigv4", "region": "eu-central-1"},
        Kind.S3: {"bucket": "exports", "key": f"{n:04}.csv", "region": "eu-central-1"},
    }
    return Endpoint(
        slug=f"export-{n:04}", title=f"Export {n:04}", kind=kind, enabled=n % 33 != 5,
        operators=groups[0] if n % CLOSED == 3 else None, everyone=n % 10 == 0,
        description="All rows of a table, nightly.", filename=f"export-{n:04}.csv",
        **fields.get(kind, {"url": host}),
    )  # fmt: skip


def _checkup(endpoint: Endpoint | None, health: Health, now: datetime) -> Checkup:
    well = health == Health.HEALTHY
    return Checkup(
        endpoint=endpoint, health=health, looked_at=now, due_at=now + timedelta(days=3650),
        reason="" if well else _SENTENCE,
        failing_since=now - timedelta(hours=5) if health == Health.FAILING else None,
    )  # fmt: skip


def _run(checkup: Checkup, back: int, dice: random.Random, now: datetime) -> DoctorRun:
    health = Health(checkup.health) if back < 2 else dice.choice(_HEALTHS)
    found = [] if health == Health.HEALTHY else [_finding(str(checkup), health)]
    passed = [{"id": f"check-{n}", "title": "A check", "subject": "it"} for n in range(20)]
    return DoctorRun(
        checkup=checkup, why=Why.SCHEDULE, ended_at=now - timedelta(hours=6 * back), seconds=2,
        health=health, errors=int(health == Health.FAILING),
        warnings=int(health == Health.DEGRADED), passed=20, skipped=0,
        report={"findings": found, "passed": passed, "skipped": [], "new": [], "gone": [],
                "since": None},
    )  # fmt: skip


def _finding(subject: str, health: Health) -> dict[str, Any]:
    """As `doctor.describing` has it."""
    return {
        "id": "value-differs", "severity": "error" if health == Health.FAILING else "warning",
        "title": "The function has the current value", "subject": subject, "endpoint": None,
        "secret": None, "sentence": _SENTENCE, "evidence": ["there: fingerprint 0123456789ab"],
        "consequence": "The function refuses what is sent.", "fix": "Put the value back.",
        "cli": ["manage.py rotate secret-0001 --repair"], "terraform": "", "repair": None,
    }  # fmt: skip


def notices(count: int, now: datetime) -> None:
    """All sent, but for one in a thousand that was given up. Nobody is told anything."""
    channels = [Channel(name=f"channel {n}", kind="webhook", enabled=False) for n in range(3)]
    for channel in channels:
        channel.lead_to("https://hooks.example.com/")
    Channel.objects.bulk_create(channels)
    events = [one for one in NoticeEvent if one != NoticeEvent.TEST]
    Notice.objects.bulk_create(
        Notice(
            channel=channels[n % 3], event=events[n % len(events)], key=f"seeded {n}",
            summary="Something changed.", created_at=(at := now - timedelta(minutes=9 * n)),
            due_at=at, sent_at=None if n % 1000 == 7 else at,
            given_up_at=at if n % 1000 == 7 else None,
        )
        for n in range(count)
    )  # fmt: skip
    Installation.objects.here()
    # As if a worker heard the scheduler for years.
    Installation.objects.update(ticked_at=now + timedelta(days=3650))
