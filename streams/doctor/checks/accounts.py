"""Who asks AWS: whether it has keys, whether AWS takes them, and whether the clocks agree."""

from collections.abc import Iterator

from streams.aws.caller import Caller
from streams.doctor import terraform
from streams.doctor.checks.check import Found, Severity, SkippedError, check, known
from streams.doctor.facts import AccountFacts, RegionFacts

# What everything that is read or signed with an identity hangs on.
CREDENTIALS = (
    "region-missing", "credentials-missing", "clock-skew", "credentials-expired",
    "credentials-invalid", "role-refused",
)  # fmt: skip
# AWS refuses what was signed five minutes before or after it arrives.
SKEW = 240.0
_NOTHING = (
    "Nothing in AWS can be looked at, nothing rotates, and whatever is signed for a download fails."
)


@check(
    "region-missing",
    Severity.ERROR,
    "A region is known for everything",
    consequence="What has no region can be neither looked at nor rotated.",
)
def region_missing(region: RegionFacts) -> Iterator[Found]:
    if not region.own:
        yield Found(
            "Neither the registry nor AWS_REGION says in which region to find "
            f"{', '.join(region.without)}.",
            "Say region in the registry, or set AWS_REGION for the portal and its workers.",
        )


@check(
    "credentials-missing",
    Severity.ERROR,
    "The portal has AWS credentials",
    consequence=_NOTHING,
    follows_from=("region-missing",),
)
def credentials_missing(account: AccountFacts) -> Iterator[Found]:
    caller = _own(account)
    if caller.missing:
        yield Found(
            caller.missing,
            "Give the portal's process and its workers a role (of the instance, task or pod), or "
            "keys as boto3 reads them: variables, or a profile.",
            cli=("aws sts get-caller-identity",),
        )


@check(
    "clock-skew",
    Severity.ERROR,
    "The portal's clock agrees with AWS's",
    consequence="AWS refuses what is signed five minutes before or after it arrives.",
)
def clock_skew(account: AccountFacts) -> Iterator[Found]:
    ahead = _own(account).ahead
    if ahead is None:
        raise SkippedError("AWS did not tell the time.")
    if abs(ahead) > SKEW:
        yield Found(
            f"The portal's clock is {abs(ahead):.0f} seconds "
            f"{'ahead of' if ahead > 0 else 'behind'} AWS's.",
            "Let the machine keep its clock by NTP (chrony, systemd-timesyncd).",
            evidence=(f"ahead of the Date of AWS's answer: {ahead:.0f} s",),
            cli=("timedatectl set-ntp true",),
        )


@check(
    "credentials-expired",
    Severity.ERROR,
    "The portal's AWS credentials are in force",
    consequence=_NOTHING,
)
def credentials_expired(account: AccountFacts) -> Iterator[Found]:
    caller = _own(account)
    if caller.expired:
        yield Found(
            "The portal's AWS credentials have expired.",
            "Renew them, and start the portal and its workers anew. Temporary keys in variables "
            "are never renewed: a role, or a profile with a source, is.",
            evidence=_refused(account, caller),
            cli=("aws sts get-caller-identity",),
        )


@check(
    "credentials-invalid",
    Severity.ERROR,
    "AWS knows the portal's credentials",
    consequence=_NOTHING,
    follows_from=("clock-skew",),
)
def credentials_invalid(account: AccountFacts) -> Iterator[Found]:
    caller = _own(account)
    if caller.unknown or (caller.assuming and not caller.expired):
        yield Found(
            "AWS does not let the portal's profile assume its role."
            if caller.assuming
            else "AWS does not take what the portal signs with its credentials.",
            "Put in keys that are whole, not deleted, of this partition, and with their session "
            "token if they are temporary; of a role in a profile, let its trust policy name the "
            "profile's source.",
            evidence=_refused(account, caller),
            cli=("aws sts get-caller-identity",),
        )


@check(
    "role-refused",
    Severity.ERROR,
    "The portal may assume the role",
    consequence="What the registry names this role for can be neither looked at, nor rotated, nor "
    "signed for.",
    follows_from=("credentials-missing", "credentials-expired", "credentials-invalid"),
)
def role_refused(account: AccountFacts) -> Iterator[Found]:
    caller = known(account.caller)
    if not account.role_arn:
        raise SkippedError("It is the portal's own identity, and no role.")
    if not caller.usable:
        yield Found(
            f"The portal cannot assume the role {account.role_arn}.",
            "Let the role's trust policy name the portal's own identity, and allow that "
            "sts:AssumeRole on it; or correct role_arn in the registry.",
            evidence=_refused(account, caller),
            cli=(
                "aws sts assume-role --role-session-name spillway --role-arn " + account.role_arn,
            ),
            terraform=terraform.trust(account.role_arn),
        )


def _own(account: AccountFacts) -> Caller:
    if account.role_arn:
        raise SkippedError("A role is assumed with the portal's own identity, which tells.")
    return known(account.caller)


def _refused(account: AccountFacts, caller: Caller) -> tuple[str, ...]:
    return (f"AWS's code: {caller.refusal or 'none'}", f"asked in: {account.region}")
