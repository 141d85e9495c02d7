"""The current value in Secrets Manager, while no rotation is under way: compared, and put there.

Our database is right: a value stands here before AWS hears of it.
"""

from django.utils.crypto import constant_time_compare

from streams.aws.account import Account
from streams.aws.secretsmanager import CURRENT, PENDING, Labels, StoredSecret
from streams.models import Secret, SecretVersion
from streams.models.secrets import fingerprint
from streams.rotation.parts import stored_secret


def difference(secret: Secret, account: Account) -> str | None:
    """What is otherwise there than here, in a sentence; None where nothing is, or need be there.

    None under a rotation, too, which sees to it. Changes nothing. Raises `ControlError`, and
    `UnfitError` where no region is given.
    """
    stored, version = _both(secret, account)
    if stored is None or version is None:
        return None
    return _difference(stored, stored.read(), version)


def put_current(secret: Secret, account: Account) -> str | None:
    """Puts our current value there where there is none, or one that we had before.

    Returns the difference that is left, as above: a value that is none of ours is not overwritten.
    Under a rotation it does nothing.
    """
    stored, version = _both(secret, account)
    if stored is None or version is None:
        return None
    labels = stored.read()
    told = _difference(stored, labels, version)
    if told is None or _hindrance(stored, labels):
        return told
    if labels is None:
        stored.create(version.value, version=version.external_id)
    elif CURRENT not in labels.versions:
        stored.put(version.value, version=version.external_id, label=CURRENT)
    elif _earlier(stored, labels, version):
        _replace(stored, labels, version)
    else:
        return told
    return _difference(stored, stored.read(), version)


def _both(secret: Secret, account: Account) -> tuple[StoredSecret | None, SecretVersion | None]:
    if secret.is_rotating():
        return None, None
    current = secret.versions.filter(state=SecretVersion.State.CURRENT).first()
    return stored_secret(secret, account, lambda: None), current


def _difference(stored: StoredSecret, labels: Labels | None, ours: SecretVersion) -> str | None:
    name = f"Secrets Manager {stored.name}"
    if hindrance := _hindrance(stored, labels):
        return hindrance
    if labels is None:
        return f"{name} does not exist."
    if CURRENT not in labels.versions:
        return f"{name} has no value."
    if constant_time_compare(stored.value(labels.versions[CURRENT]) or "", ours.value):
        return None
    earlier = _earlier(stored, labels, ours)
    if earlier:
        return f"{name} has version {earlier.number} as {CURRENT}, and not {ours.number}."
    return f"{name} has a value as {CURRENT} that is none of this secret's."


def _hindrance(stored: StoredSecret, labels: Labels | None) -> str:
    """Why nothing could be put there; empty where it could."""
    name = f"Secrets Manager {stored.name}"
    if labels is None:
        return f"{name} does not exist." if stored.name.startswith("arn:") else ""
    if labels.deleted:
        return f"{name} is scheduled for deletion."
    if labels.rotates:
        return f"{name} is rotated by AWS itself."
    if labels.replica:
        return f"{name} is a replica of a secret in another region."
    return ""


def _earlier(stored: StoredSecret, labels: Labels, ours: SecretVersion) -> SecretVersion | None:
    """The one of our versions whose value consumers read now, if it is another one of ours."""
    value = stored.value(labels.versions[CURRENT])
    if value is None:
        return None
    same = SecretVersion.objects.filter(secret=ours.secret, fingerprint=fingerprint(value))
    return same.exclude(pk=ours.pk).order_by("-number").defer("value").first()


def _replace(stored: StoredSecret, labels: Labels, ours: SecretVersion) -> None:
    # Somebody else's version that waits for its turn keeps its label.
    if labels.versions.get(PENDING, ours.external_id) != ours.external_id:
        return
    stored.put(ours.value, version=ours.external_id, label=PENDING)
    # Only from where it was read: it may have moved since.
    stored.move(CURRENT, to=ours.external_id, away=labels.versions[CURRENT])
    now = stored.read()
    if now is not None and now.versions.get(PENDING) == ours.external_id:
        stored.remove(PENDING, away=ours.external_id)
