"""Which permissions an identity needs for what is registered, and which nobody needs: pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streams.doctor.facts import Need
from streams.models import Auth, Endpoint, Gateway, Kind, SecretFunction

# It belongs to somebody else, or is not there: nobody here needs to do anything to it.
ANOTHER = "not-registered-with-spillway"

_ROTATES = ("lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration")
_READS_URL = ("lambda:GetFunctionUrlConfig",)
_READS_POLICY = ("lambda:GetPolicy",)
_MOVES_ALIASES = ("lambda:GetAlias", "lambda:PublishVersion", "lambda:UpdateAlias")
_PREPARES_ALIASES = ("lambda:AddPermission", "lambda:CreateFunctionUrlConfig", "lambda:GetPolicy")
_CHANGES = ("lambda:PublishVersion", "lambda:UpdateAlias", "lambda:UpdateFunctionConfiguration")
_REPLACES = ("lambda:DeleteFunction", "lambda:UpdateFunctionCode")
_OF_OTHERS = ("lambda:GetFunctionConfiguration", "lambda:InvokeFunction", *_CHANGES, *_REPLACES)
_OF_IDENTITIES = (
    "iam:AttachRolePolicy", "iam:CreateAccessKey", "iam:CreatePolicyVersion", "iam:PassRole",
    "iam:PutRolePolicy",
)  # fmt: skip
_WRITES = ("s3:DeleteObject", "s3:PutObject")


@dataclass(frozen=True)
class Registered:
    """What a run is about. `web`: the portal's own identity is that of its web process.

    That one calls and reads, and rotates nothing.
    """

    functions: Sequence[SecretFunction]
    gateways: Sequence[Gateway]
    endpoints: Sequence[Endpoint]
    web: bool = False

    def roles(self) -> list[str]:
        """Those under which AWS is asked, empty for the portal's own; none where it never is."""
        calling = {one.role_arn for one in self.endpoints if _asks_aws(one)}
        rotating = {one.role_arn for one in self.functions}
        rotating |= {one.role_arn for one in self.gateways}
        if not calling and not rotating:
            return []
        return sorted({""} | calling | (set() if self.web else rotating))


@dataclass(frozen=True)
class Question:
    """Whether these actions are allowed on each of these resources, and what for."""

    need: Need
    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True)
class Owner:
    """An identity as it names resources. `role` is empty for the portal's own."""

    role: str
    partition: str
    account: str
    region: str

    def function(self, name: str, region: str) -> str:
        """Its ARN, where `name` is not one already."""
        if name.startswith("arn:"):
            return ":".join(name.split(":")[:7])
        where = f"arn:{self.partition}:lambda:{region or self.region}:{self.account}"
        return f"{where}:function:{name.rpartition(':')[2]}"

    def gateway(self, row: Gateway) -> str:
        kind = "restapis" if row.type == Gateway.Type.REST else "apis"
        region = row.region or self.region
        return f"arn:{self.partition}:apigateway:{region}::/{kind}/{row.api_id}"


def questions(owner: Owner, registered: Registered) -> dict[tuple[str, ...], list[Question]]:
    """By their resources: what is asked of the same ones takes one call."""
    merged: dict[tuple[Need, tuple[str, ...]], dict[str, None]] = {}
    for one in _questions(owner, registered):
        merged.setdefault((one.need, one.actions), {}).update(dict.fromkeys(one.resources))
    found: dict[tuple[str, ...], list[Question]] = {}
    for (need, actions), resources in merged.items():
        asked = Question(need, actions, tuple(resources))
        found.setdefault(asked.resources, []).append(asked)
    return found


def _questions(owner: Owner, registered: Registered) -> Iterator[Question]:
    yield from _others(owner)
    for function in registered.functions:
        yield from _of_function(owner, function, _use(owner, function.role_arn, registered))
    for gateway in registered.gateways:
        yield from _of_gateway(owner, gateway, _use(owner, gateway.role_arn, registered))
    objects = [one for one in registered.endpoints if one.kind == Kind.S3]
    for each in objects:
        if each.role_arn == owner.role:
            place = f"arn:{owner.partition}:s3:::{each.bucket}/{each.key}"
            yield Question(Need.NOTHING, _WRITES, (place,))


def _use(owner: Owner, role: str, registered: Registered) -> Need | None:
    """What the owner is for, where rotations are made under `role`; None where nothing is known.

    What another account allows besides, no simulation in this one knows.
    """
    if role == owner.role and not (registered.web and not owner.role):
        return Need.ROTATE
    elsewhere = owner.role or (role and role.split(":")[4] != owner.account)
    return None if elsewhere else Need.ELSEWHERE


def _of_function(owner: Owner, row: SecretFunction, use: Need | None) -> Iterator[Question]:
    arn = owner.function(row.name, row.region)
    if use is None or arn.split(":")[4] != owner.account:
        return
    yield Question(Need.NOTHING, _REPLACES, (arn,))
    if use == Need.ELSEWHERE:
        yield Question(use, _CHANGES, (arn,))
        return
    aliases = tuple(f"{arn}:{alias}" for alias in row.aliases or [row.alias] if alias)
    yield Question(use, _ROTATES, (arn,))
    yield Question(use, _READS_URL, aliases or (arn,))
    yield Question(Need.LOOK, _READS_POLICY, aliases or (arn,))
    if aliases:
        yield Question(use, _MOVES_ALIASES, (arn,))
    if row.aliases:
        yield Question(use, _PREPARES_ALIASES, aliases)


def _of_gateway(owner: Owner, row: Gateway, use: Need | None) -> Iterator[Question]:
    if use is None:
        return
    api = owner.gateway(row)
    rest = row.type == Gateway.Type.REST
    integration = f"{api}/integrations/{row.integration_id}"
    if rest:
        integration = f"{api}/resources/{row.resource_id}/methods/{row.method}/integration"
    stage = f"{api}/stages/{row.stage}"
    yield Question(use, ("apigateway:PATCH",), (integration, stage))
    yield Question(use, ("apigateway:POST",), (f"{api}/deployments",))
    yield Question(Need.NOTHING, ("apigateway:DELETE",), (api,))
    if use == Need.ROTATE:
        export = f"{stage}/exports/oas30" if rest else f"{api}/exports/OAS30"
        # Where else the header is sent from, and what a deployment would publish besides.
        others: tuple[str, ...] = (f"{api}/routes",)
        if rest:
            others = (f"{api}/resources", f"{api}/resources/{row.resource_id}")
        yield Question(use, ("apigateway:GET",), (integration, stage, export, *others))
        # When the stage was deployed, where AWS does not tell what it serves.
        looks: tuple[str, ...] = (f"{api}/deployments/*",)
        if rest:
            # Whether a stream goes through an edge location, where it may pause for less long.
            looks = (api, *looks)
        yield Question(Need.LOOK, ("apigateway:GET",), looks)


def _others(owner: Owner) -> Iterable[Question]:
    """What is nobody's business here."""
    arn = f"arn:{owner.partition}"
    secret = f"{arn}:secretsmanager:{owner.region}:{owner.account}:secret:{ANOTHER}-AbCdEf"
    return (
        Question(Need.NOTHING, _OF_IDENTITIES, ("*",)),
        Question(Need.NOTHING, _OF_OTHERS, (owner.function(ANOTHER, ""),)),
        Question(Need.NOTHING, ("s3:GetObject", *_WRITES), (f"{arn}:s3:::{ANOTHER}/x",)),
        Question(Need.NOTHING, ("secretsmanager:GetSecretValue",), (secret,)),
    )


def _asks_aws(endpoint: Endpoint) -> bool:
    return endpoint.kind == Kind.S3 or endpoint.auth == Auth.SIGV4 or endpoint.follows == Kind.S3
