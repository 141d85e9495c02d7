"""Begins a rotation, and takes an operator's word on one that is open."""

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from streams.models import (
    Accepts,
    Download,
    Endpoint,
    Mode,
    Rotation,
    RotationState,
    Secret,
    SecretFunction,
    SecretVersion,
    State,
)
from streams.models.fields import UndecryptableError
from streams.rotation import auditing
from streams.rotation.problems import RotationError

GAP = (
    "This function accepts one value, and a gateway sends it: between the change of the two, "
    "requests through the gateway are refused, usually for some seconds. A handler that accepts "
    "two values, or an alias pair, has no such gap. Accept the gap to go on (--accept-gap)."
)
CONSUMERS = (
    "This function accepts one value, and others read it from Secrets Manager: what they have "
    "read is refused from the change on, until they read it again. A handler that accepts two "
    "values has no such gap. Accept the gap to go on (--accept-gap)."
)
# The ways in which a value that consumers keep is refused.
REFUSES = {Mode.HOLD, Mode.GAP}


class NotNowError(RotationError):
    """What was asked for is not possible as things stand."""


def mode_of(secret: Secret, *, emergency: bool = False, accept_gap: bool = False) -> Mode:
    """How this secret would be rotated. Raises `NotNowError`."""
    function = SecretFunction.objects.filter(secret=secret).first()
    if function is None:
        raise NotNowError(
            f"The secret {secret.name} names no function that checks it. Add it to the registry."
        )
    if function.aliases and secret.stored_at():
        raise NotNowError(
            "With two aliases the address changes with the value, which others who read it from "
            "Secrets Manager do not learn. Say store: database, or use a handler that accepts two."
        )
    if function.aliases:
        return Mode.EMERGENCY if emergency else Mode.PAIR
    if function.accepts == Accepts.TWO:
        return Mode.EMERGENCY if emergency else Mode.OVERLAP
    if not secret.gateways.exists():
        if secret.stored_at() and not accept_gap and not emergency:
            raise NotNowError(CONSUMERS)
        return Mode.HOLD
    if not accept_gap and not emergency:
        raise NotNowError(GAP)
    return Mode.GAP


def live(secret: Secret) -> int:
    """How many downloads are under way with it."""
    sending = Endpoint.objects.hanging_on(Secret.objects.filter(pk=secret.pk))
    return Download.objects.filter(state=State.RUNNING, endpoint__in=sending).count()


def start(
    secret: Secret, *, by: str, emergency: bool = False, accept_gap: bool = False
) -> Rotation:
    """Stores the intention; workers do the rest. Raises `NotNowError`."""
    return _stored(secret, mode_of(secret, emergency=emergency, accept_gap=accept_gap), by)


def current_version(secret: Secret) -> SecretVersion:
    """Raises `NotNowError` where there is none, or no key that decrypts it."""
    try:
        current = secret.versions.filter(state=SecretVersion.State.CURRENT).first()
    except UndecryptableError as exc:
        raise NotNowError(str(exc)) from None
    if current is None:
        raise NotNowError(f"The secret {secret.name} has no value yet.")
    return current


def _stored(secret: Secret, mode: Mode, by: str) -> Rotation:
    try:
        with transaction.atomic():
            # A value set by hand at the same time waits for us, or we for it.
            Secret.objects.select_for_update().get(pk=secret.pk)
            current = current_version(secret)
            new = current if mode == Mode.REPAIR else None
            rotation = Rotation.objects.create(
                secret=secret, mode=mode, old=current, new=new, requested_by=by
            )
            auditing.record("started", rotation, by=by)
            return rotation
    except IntegrityError:
        raise NotNowError(f"A rotation of {secret.name} is under way.") from None


def repair(secret: Secret, *, by: str) -> Rotation:
    """Has the current value put back wherever another one is. Raises `NotNowError`."""
    # What is missing for a rotation is missing for this as well.
    mode_of(secret, accept_gap=True)
    return _stored(secret, Mode.REPAIR, by)


def open_rotation(secret: Secret) -> Rotation:
    """The one that is under way. Raises `NotNowError` where there is none."""
    rotation = Rotation.objects.filter(secret=secret).open().first()
    if rotation is None:
        raise NotNowError(f"No rotation of {secret.name} is under way.")
    return rotation


@transaction.atomic
def resume(rotation: Rotation, *, by: str = "") -> None:
    """Has it tried again now, whatever it waits for."""
    wanted = Rotation.objects.filter(pk=rotation.pk).open()
    if wanted.update(
        resumed=True, state=RotationState.RUNNING, attempts=0, due_at=Now(), stretch_at=Now()
    ):
        auditing.record("resumed", rotation, by=by)


@transaction.atomic
def roll_back(rotation: Rotation, *, by: str = "") -> None:
    """Has it undone, from where its worker stands. Refused from `retire` on by the worker."""
    wanted = Rotation.objects.filter(pk=rotation.pk, back=False).open()
    said = {"roll_back": True, "resumed": True}
    if wanted.update(**said, attempts=0, due_at=Now(), stretch_at=Now()):
        auditing.record("rollback-asked", rotation, by=by)


@transaction.atomic
def give_up(rotation: Rotation, *, by: str = "") -> None:
    """Has it ended where it stands. Refused by the worker where it can be finished yet."""
    wanted = Rotation.objects.filter(pk=rotation.pk).open()
    said = {"give_up": True, "resumed": True}
    if wanted.update(**said, attempts=0, due_at=Now(), stretch_at=Now()):
        auditing.record("give-up-asked", rotation, by=by)
