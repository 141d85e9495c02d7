"""The identities by which AWS is asked, and the region where the registry names none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from streams.aws import caller
from streams.aws.account import default_region
from streams.aws.caller import Caller
from streams.doctor.facts import AccountFacts, RegionFacts, Subject, Unread
from streams.doctor.reader import Reader
from streams.models import Auth, Endpoint, Kind, Secret, SecretFunction
from streams.models.secrets import StoredAt
from streams.rotation.parts import Place

OWN = "AWS identity"
REGION = "AWS region"


@dataclass(frozen=True)
class Use:
    """Something that AWS is asked about, or for. `region` is empty where the registry has none."""

    name: str
    region: str
    role_arn: str

    @property
    def parts(self) -> frozenset[str]:
        """What a fault of would show there."""
        role = [_role(self.role_arn)] if self.role_arn else []
        # A role is assumed with the portal's own identity.
        return frozenset([OWN, *role, *([] if self.region else [REGION])])


def use_of(place: Place) -> Use:
    """Of what checks, sends or keeps a secret."""
    name = place.id if isinstance(place, StoredAt) else str(place)
    return Use(name, place.region, place.role_arn)


def use_of_endpoint(endpoint: Endpoint) -> Use | None:
    """Of an export that the portal signs for; None where it signs nothing."""
    signs = endpoint.kind in {Kind.S3, Kind.LAMBDA} or endpoint.auth == Auth.SIGV4
    if not signs and not endpoint.follows:
        return None
    return Use(f"endpoint {endpoint.slug}", endpoint.region, endpoint.role_arn)


def parts_of(endpoint: Endpoint) -> frozenset[str]:
    """The parts of what this export is signed with; none where nothing is signed."""
    use = use_of_endpoint(endpoint)
    return use.parts if use else frozenset()


def parts_of_identity(role_arn: str) -> frozenset[str]:
    """The parts of the portal's own identity, or of a role that it assumes."""
    return Use("", REGION, role_arn).parts


def facts(
    reader: Reader, secrets: Iterable[Secret], endpoints: Iterable[Endpoint]
) -> Iterator[Subject]:
    """Each identity that is used, and the portal's own, by which roles are assumed."""
    uses = [*_uses_of_secrets(secrets), *filter(None, map(use_of_endpoint, endpoints))]
    if not uses:
        return
    without = tuple(use.name for use in uses if not use.region)
    if without:
        yield RegionFacts(
            name="AWS region", about=frozenset({REGION}), own=default_region(), without=without
        )
    regions = {use.role_arn: use.region or default_region() for use in reversed(uses)}
    own = regions.pop("", "") or default_region() or next(iter(regions.values()), "")
    yield _look(reader, own, "")
    for role_arn, region in sorted(regions.items()):
        yield _look(reader, region, role_arn)


def _uses_of_secrets(secrets: Iterable[Secret]) -> Iterator[Use]:
    for secret in secrets:
        yield from map(use_of, SecretFunction.objects.filter(secret=secret))
        yield from map(use_of, secret.gateways.order_by("pk"))
        yield from map(use_of, filter(None, [secret.stored_at()]))


def _look(reader: Reader, region: str, role_arn: str) -> AccountFacts:
    part = _role(role_arn) if role_arn else OWN
    found: Caller | Unread = Unread("No region is known in which AWS could be asked.")
    if region:
        found = reader.read(lambda: _caller(reader, region, role_arn))
    # What AWS does not know in one region, it may know in another.
    if isinstance(found, Caller) and not found.usable and not found.unknown:
        why = found.missing or f"AWS does not take this portal's signature ({found.refusal})."
        reader.hindrances[part] = Unread(why)
    return AccountFacts(
        name=f"role {role_arn}" if role_arn else "the portal's AWS identity",
        about=frozenset({part}),
        depends=frozenset({OWN}),
        role_arn=role_arn,
        region=region,
        caller=found,
    )


def _caller(reader: Reader, region: str, role_arn: str) -> Caller:
    reader.guard()
    return caller.look(reader.account, region=region, role_arn=role_arn)


def _role(role_arn: str) -> str:
    return f"AWS role {role_arn}"
