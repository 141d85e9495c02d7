"""Values that stand in Secrets Manager before this portal knows the secret: they are taken over."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.aws.account import Account, default_region
from streams.aws.calls import Calls
from streams.aws.failures import ControlError
from streams.aws.secretsmanager import CURRENT, StoredSecret
from streams.models import Secret
from streams.models.secrets import StoredAt
from streams.registry.parse import RegistryError
from streams.registry.spec import RegistrySpec, SecretSpec


@dataclass(frozen=True)
class Standing:
    """A value that consumers have already, and what Secrets Manager calls its version."""

    value: str = field(repr=False)
    version: str


# By the secret's name. Absent: there is none there, or none was looked for.
Found = Mapping[str, Standing | RegistryError]


def found(spec: RegistrySpec) -> Found:
    """What AWS has for each secret that has no value here and is given none. Changes nothing."""
    wanted = {
        secret.name: place
        for secret in spec.secrets
        if (place := secret.stored_at()) and not (secret.value_from_env or secret.value_from_file)
    }
    valued = Secret.objects.filter(name__in=wanted, versions__state="current")
    for name in valued.values_list("name", flat=True):
        del wanted[name]
    account = Account()
    stands: dict[str, Standing | RegistryError] = {}
    for name, place in wanted.items():
        try:
            standing = _standing(account, place)
        except RegistryError as exc:
            # Told with all other problems.
            stands[name] = exc
        else:
            if standing is not None:
                stands[name] = standing
    return stands


def of(spec: SecretSpec, found: Found) -> Standing | None:
    """What was found for one secret. Raises `RegistryError` where it could not be read."""
    standing = found.get(spec.name)
    if isinstance(standing, RegistryError):
        raise standing
    return standing


def _standing(account: Account, place: StoredAt) -> Standing | None:
    region = place.region or default_region()
    if not region:
        raise RegistryError(["secrets_manager.region: expected, since AWS_REGION is not set"])
    stored = StoredSecret(Calls(account, region, place.role_arn), place.id)
    try:
        labels = stored.read()
        if labels is not None and labels.deleted:
            raise RegistryError([f"store: {place.id} is scheduled for deletion. Restore it first"])
        if labels is None or CURRENT not in labels.versions:
            return None
        value = stored.value(labels.versions[CURRENT])
    except ControlError as exc:
        raise RegistryError([f"store: {place.id} cannot be read. {exc}"]) from None
    if value is None:
        raise RegistryError([f"store: expected text as the value of {place.id}"])
    return Standing(value, labels.versions[CURRENT])
