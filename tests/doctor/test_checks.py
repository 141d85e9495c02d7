"""Edge cases of checks, over facts made by hand. `test_scenarios` says where each one is real."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.aws.caller import Caller
from streams.aws.functions import PUBLIC, Alias, Configuration, UrlConfig
from streams.aws.gateways import Mapped
from streams.doctor.asking import verdict
from streams.doctor.checks import ALL
from streams.doctor.facts import (
    AccountFacts,
    Answer,
    Decision,
    EndpointFacts,
    FunctionFacts,
    GatewayFacts,
    IdentityFacts,
    Need,
    ObjectFacts,
    Permission,
    RotationFacts,
    SecretFacts,
    Subject,
    Unread,
)
from streams.doctor.remedies import Place, RaiseTimeout
from streams.doctor.run import judged
from streams.rotation.probing import Verdict
from tests.doctor.conftest import check_terraform

VALUE = "value-" + "v" * 32
OTHER = "other-" + "o" * 32
URL = "https://abc.lambda-url.eu-central-1.on.aws/"
SECRET = SecretFacts("orders", "x-secret-header", VALUE)
CONFIGURATION = Configuration(
    {"SECRET_HEADER": VALUE}, "r1", "Successful", "", "Active", "sha", "$LATEST", timeout=900,
    shape={"MemorySize": 512},
)  # fmt: skip
ABOUT = frozenset({"secret orders"})


def statement(number: int, **other: Any) -> dict[str, Any]:
    public = PUBLIC[number]
    condition = {"StringEquals": {public.key: public.value}}
    return {
        "Sid": public.id, "Effect": "Allow", "Principal": "*", "Action": public.action,
        "Condition": condition, **other,
    }  # fmt: skip


FUNCTION = FunctionFacts(
    name="function orders-export", about=ABOUT, secret_name="orders", function="orders-export",
    region="eu-central-1", secret=SECRET, variable="SECRET_HEADER", url_auth="NONE", streams=True,
    latest=CONFIGURATION, served=CONFIGURATION, url=UrlConfig(URL, "NONE", "RESPONSE_STREAM"),
    statements=(statement(0), statement(1)),
)  # fmt: skip
SAVED = Mapped(VALUE, uri=URL, type="HTTP_PROXY", timeout=29)
GATEWAY = GatewayFacts(
    name="REST API a1/prod", about=frozenset({"gateway 1"}), depends=ABOUT, secret_name="orders",
    type="rest", region="eu-central-1", secret=SECRET,
    where={"api_id": "a1", "resource_id": "r1", "method": "GET", "stage": "prod"},
    saved=SAVED, deployed=Mapped(VALUE, uri=URL), function_urls=(URL,), through=Verdict.ACCEPTED,
)  # fmt: skip
STREAMING = replace(GATEWAY, saved=replace(SAVED, streams=True))
ENDPOINT = EndpointFacts(
    name="endpoint orders", about=frozenset({"endpoint orders"}), depends=ABOUT,
    endpoint="orders", secret_name="orders", kind="function-url", url=URL,
    secret=SECRET, functions=(FUNCTION,), right=Answer(part=True, etag='"v1"', size=1000),
    wrong=dict.fromkeys(
        ("without the header", "with an empty header", "with a wrong value"), Verdict.REFUSED
    ),
)  # fmt: skip

THROUGH = replace(ENDPOINT, kind="gateway", functions=(), gateway=GATEWAY, slowest=2.0)
INVOKED = replace(ENDPOINT, kind="lambda", functions=(replace(FUNCTION, open=False),))
ALIASED = replace(FUNCTION, qualifier="live", alias=Alias("7", "r7", weighted=False))
ACCOUNT = AccountFacts(
    name="the portal's AWS identity", about=frozenset({"AWS identity"}), caller=Caller(ahead=1)
)
ROTATION = RotationFacts(
    name="rotation of orders", about=frozenset({"rotation of orders"}), secret_name="orders",
    state="running", step="drain", quiet=30.0, functions=(FUNCTION,), gateways=(GATEWAY,),
)  # fmt: skip
SWITCHED = datetime(2026, 11, 1, tzinfo=UTC)
AGED = replace(GATEWAY, deployed=None, through=None, switched_at=SWITCHED, deployed_at=SWITCHED)

OBJECT = replace(
    ENDPOINT, kind="s3", functions=(), secret=None, wrong=None, place="exports/orders.csv",
    object=ObjectFacts(checksum=True),
)  # fmt: skip

HEALTHY: list[Subject] = [
    FUNCTION, GATEWAY, STREAMING, ENDPOINT, THROUGH, replace(THROUGH, gateway=STREAMING), ALIASED,
    ACCOUNT, ROTATION, AGED, INVOKED, OBJECT,
]  # fmt: skip
ROOT = IdentityFacts(
    name="the portal's own identity", about=frozenset({"identity own"}),
    arn="arn:aws:iam::123456789012:root", permissions=Unread("The root user may do everything."),
)  # fmt: skip
MAY = Permission(Need.ROTATE, "lambda:UpdateAlias", "arn:1", Decision.UNSURE)
USER = replace(ROOT, arn="arn:aws:iam::123456789012:user/portal", permissions=(MAY,))


def configured(**changes: Any) -> FunctionFacts:
    made = replace(CONFIGURATION, **changes)
    return replace(FUNCTION, latest=made, served=made)


WHY = Unread("AWS does not allow it (GetFunctionConfiguration, AccessDeniedException).")
BLIND = replace(
    FUNCTION, latest=WHY, served=WHY, alias=WHY, url=WHY, statements=WHY, qualifier="live"
)
UNSEEN = replace(GATEWAY, saved=WHY, deployed=WHY, canary=WHY, deployment=WHY, through=WHY)

# What the stand-in for AWS need not be brought to once more: `test_scenarios` has the real ones.
FAULTS: list[tuple[str, Subject]] = [
    ("function-unreadable", BLIND),
    ("gateway-unreadable", UNSEEN),
    ("not-resumable", replace(ENDPOINT, right=Answer(part=True, etag='W/"v1"', size=1000))),
    ("not-resumable", replace(ENDPOINT, right=Answer(part=False, etag='"v1"', size=1000))),
    ("invoke-open", replace(FUNCTION, statements=(
        statement(0), {**statement(1, Sid="open"), "Condition": {}},
    ))),
    ("invoke-open", replace(FUNCTION, statements=(
        statement(0), statement(1), statement(1, Action=["lambda:*"], Condition=None),
    ))),
    ("permission-invoke", replace(FUNCTION, statements=(
        statement(0), statement(1, Principal={"AWS": "123456789012"}),
    ))),
    ("permission-invoke", replace(FUNCTION, statements=(
        statement(0), statement(1, Effect="Deny"),
    ))),
    ("alias-behind", replace(ALIASED, served=replace(CONFIGURATION, code_sha256="other"))),
    ("alias-behind", replace(ALIASED, served=replace(CONFIGURATION, shape={"MemorySize": 128}))),
    ("gateway-time", replace(THROUGH, slowest=27.0)),
    ("gateway-time", replace(THROUGH, gateway=STREAMING, right=Answer(
        part=True, etag='"v1"', size=100 << 20,
    ))),
    ("mapping-undeployed", replace(GATEWAY, deployed=Mapped(None, problem="absent", uri=URL))),
    ("function-update-failed", configured(update_status="Failed")),
]  # fmt: skip


def ids(*subjects: Subject) -> list[str]:
    return [finding.check.id for finding in judged(subjects).findings]


def test_healthy_facts_pass_every_check_that_applies() -> None:
    report = judged(HEALTHY)

    assert report.findings == []
    of_these = [check for check in ALL if any(isinstance(one, check.of) for one in HEALTHY)]
    skipped = [one.check.id for one in report.skipped]
    passed = {
        check.id
        for check in of_these
        if skipped.count(check.id) < sum(isinstance(one, check.of) for one in HEALTHY)
    }
    # A role stands apart, since what a finding of the own identity explains is not told. How a file
    # comes is looked at only where it does not come in parts.
    apart = {
        "role-refused", "origin-buffers", "first-byte-late", "gzip-stripped", "gzip-mislabelled",
    }  # fmt: skip
    assert passed == {check.id for check in of_these} - apart


def test_an_identity_whose_policies_depend_on_more_is_not_judged() -> None:
    report = judged([USER])

    assert report.findings == []
    assert "Its policies have conditions that the simulation does not know." in {
        one.reason for one in report.skipped
    }


def test_the_account_of_an_emulator_has_no_root_user_to_be_afraid_of() -> None:
    assert ids(replace(ROOT, arn="arn:aws:iam::000000000000:root")) == []


@pytest.mark.parametrize(("identity", "facts"), FAULTS)
def test_exactly_that_fault_is_found(identity: str, facts: Subject) -> None:
    findings = judged([facts]).findings
    assert identity in [one.check.id for one in findings]
    assert {one.check.id for one in findings} <= {identity, "stage-variable"}
    for one in findings:
        check_terraform(one.check.id, one.found.terraform)


def test_no_repr_and_no_finding_has_a_value() -> None:
    broken = [
        configured(variables={"SECRET_HEADER": OTHER, "SECRET_HEADER_NEXT": OTHER}),
        replace(GATEWAY, saved=Mapped(OTHER, uri=URL), deployed=Mapped(OTHER, uri=URL)),
        ENDPOINT,
    ]

    report = judged(broken)

    assert len(report.findings) == 3
    told = repr(report) + "".join(repr(finding.found) for finding in report.findings)
    assert OTHER not in told
    assert VALUE not in told


def test_what_cannot_be_read_is_told_once_and_what_hangs_on_it_is_skipped() -> None:
    report = judged([BLIND, UNSEEN])

    assert [one.check.id for one in report.findings] == [
        "function-unreadable",
        "gateway-unreadable",
    ]
    assert all(WHY.reason in one.found.sentence for one in report.findings)
    # What needs no AWS is judged.
    assert report.passed == 1
    assert {skipped.reason for skipped in report.skipped} == {WHY.reason}


def test_what_is_invoked_and_checks_no_secret_need_not_be_readable() -> None:
    report = judged([replace(BLIND, secret=None)])

    assert report.findings == []
    assert "function-unreadable" in {one.check.id for one in report.skipped}


def test_one_thing_that_may_not_be_read_is_skipped_and_the_rest_is_judged() -> None:
    report = judged([replace(configured(state="Failed"), statements=WHY)])

    assert [one.check.id for one in report.findings] == ["function-not-active"]
    skipped = {one.check.id for one in report.skipped if one.reason == WHY.reason}
    assert skipped == {"permission-url", "permission-invoke", "invoke-open"}


@pytest.mark.parametrize("state", ["Inactive", "Pending"])
def test_a_function_that_sleeps_or_is_being_made_is_no_fault(state: str) -> None:
    assert ids(configured(state=state)) == []


def test_while_a_rotation_is_under_way_values_are_not_compared() -> None:
    secret = replace(SECRET, rotating=True)
    both = {"SECRET_HEADER": VALUE, "SECRET_HEADER_NEXT": OTHER}
    function = replace(configured(variables=both), secret=secret)
    gateway = replace(GATEWAY, secret=secret, saved=Mapped(OTHER, uri=URL))

    assert ids(function, gateway) == []


def test_an_alias_that_differs_in_its_secret_alone_is_not_behind() -> None:
    rotated = replace(CONFIGURATION, variables={"SECRET_HEADER": OTHER, "SECRET_HEADER_NEXT": "n"})
    deployed = replace(CONFIGURATION, code_sha256="newer")
    weighted = replace(ALIASED, alias=Alias("7", "r7", weighted=True), latest=deployed)
    idle = replace(ALIASED, holds=False, latest=deployed)

    assert "alias-behind" not in ids(replace(ALIASED, latest=rotated))
    assert ids(weighted, idle) == ["alias-weighted"]


def test_what_comes_in_segments_is_not_too_large_for_a_gateway() -> None:
    large = replace(THROUGH, right=Answer(part=True, etag='"v1"', size=100 << 20))

    assert ids(large) == ["gateway-size"]
    assert ids(replace(large, segment=5 << 20)) == []


@pytest.mark.parametrize(
    ("type_", "timeout", "fix"),
    [("rest", 29, "STREAM"), ("rest", 900, "longer than 900 s"), ("http", 30, "does not stream")],
)
def test_what_mends_a_gateway_depends_on_what_it_can_do(
    type_: str, timeout: float, fix: str
) -> None:
    large = Answer(part=True, etag='"v1"', size=3 << 30)
    saved = replace(SAVED, streams=type_ == "rest", timeout=timeout)
    where = {"api_id": "a1", "integration_id": "i1", "stage": "prod", **GATEWAY.where}
    gateway = replace(GATEWAY, type=type_, where=where, saved=saved)

    (finding,) = judged([replace(THROUGH, gateway=gateway, right=large)]).findings

    assert fix in finding.found.fix
    assert bool(finding.found.cli) == bool(finding.found.terraform) == (fix == "STREAM")


def test_of_a_pair_the_alias_in_use_alone_must_hold_the_value() -> None:
    other = replace(CONFIGURATION, variables={"SECRET_HEADER": OTHER})
    pair = replace(FUNCTION, paired=True, latest=other)
    idle = replace(pair, name="alias green", qualifier="green", holds=False, served=other)
    in_use = replace(pair, name="alias blue", qualifier="blue")

    assert ids(in_use, idle) == []
    assert ids(replace(in_use, served=other), idle) == ["environment-differs"]


def test_a_consequence_of_another_secrets_fault_is_told() -> None:
    people = configured(variables={"SECRET_HEADER": OTHER})
    people = replace(people, about=frozenset({"secret people"}))
    refused = replace(ENDPOINT, right=Answer("origin_forbidden", "Refused.", "Compare."))

    assert ids(people, refused) == ["environment-differs", "secret-refused"]
    assert ids(replace(people, about=ABOUT), refused) == ["environment-differs"]


@pytest.mark.parametrize(
    ("code", "passing"), [("origin_timeout", True), ("origin_status", True), ("", False)]
)
def test_only_who_got_bytes_was_let_in(code: str, passing: bool) -> None:
    found = verdict(Answer(code, passing=passing))

    assert found == (Verdict.UNSURE if code else Verdict.ACCEPTED)


@pytest.mark.parametrize(("segment", "found"), [(None, ["function-timeout"]), (5 << 20, [])])
def test_a_file_that_is_fetched_in_segments_needs_time_for_one_of_them(
    segment: int | None, found: list[str]
) -> None:
    function = configured(timeout=60)
    answer = Answer(part=True, etag='"v1"', size=200 << 20)

    endpoint = replace(ENDPOINT, right=answer, functions=(function,), segment=segment)

    assert ids(endpoint) == found


@pytest.mark.parametrize(
    "changed",
    [
        {"url_auth": "AWS_IAM"},
        {"holds": False},
        {"secret": replace(SECRET, value=WHY)},
        {"served": WHY},
        {"served": replace(CONFIGURATION, in_vpc=True)},
        {"alias": Alias("1", "r1", weighted=True), "qualifier": "live"},
    ],
)
def test_what_could_not_be_proven_to_check_is_not_opened_by_a_repair(
    changed: dict[str, Any],
) -> None:
    closed = replace(FUNCTION, statements=(statement(0),))
    (offered,) = judged([closed]).findings

    found = judged([replace(closed, **changed)]).findings

    assert offered.found.repair is not None
    (refused,) = (one for one in found if one.check.id == "permission-invoke")
    assert refused.found.repair is None


@pytest.mark.parametrize(
    "statement",
    [
        statement(1, Condition=None, Action="lambda:*"),
        statement(1, Condition=None, Action=["lambda:InvokeFunction", "lambda:GetFunction"]),
        statement(1, Condition=None, Sid=""),
    ],
)
def test_a_statement_that_permits_more_or_has_no_name_is_left_to_people(
    statement: dict[str, Any],
) -> None:
    statements = (*FUNCTION.statements, statement)  # type: ignore[misc]

    (finding,) = judged([replace(FUNCTION, statements=statements)]).findings

    assert (finding.check.id, finding.found.repair) == ("invoke-open", None)


@pytest.mark.parametrize(
    ("size", "qualifier", "seconds"),
    [(300 << 20, "", 200), (1700 << 20, "", 900), (2 << 30, "", None), (300 << 20, "live", None)],
)
def test_a_time_out_is_raised_to_what_the_size_needs_if_aws_allows_it(
    size: int, qualifier: str, seconds: int | None
) -> None:
    function = replace(configured(timeout=60), qualifier=qualifier)
    answer = Answer(part=True, etag='"v1"', size=size)

    (finding,) = judged([replace(ENDPOINT, right=answer, functions=(function,))]).findings

    repair = finding.found.repair
    assert repair == (
        RaiseTimeout(Place("orders-export", "", "eu-central-1", ""), seconds) if seconds else None
    )


def test_a_mapped_variable_may_be_meant_so_and_is_left_to_people() -> None:
    dynamic = Mapped(None, problem="dynamic", uri=URL)

    (finding,) = judged([replace(GATEWAY, saved=dynamic, deployed=dynamic)]).findings

    assert (finding.check.id, finding.found.repair) == ("mapping-dynamic", None)


def test_a_hint_keeps_its_names_as_they_are_written() -> None:
    hint = "Operators: allow it with SPILLWAY_PRIVATE_ORIGINS if it is yours."
    answer = Answer("address_forbidden", "It may not be connected to.", hint)

    (finding,) = judged([replace(ENDPOINT, right=answer)]).findings

    assert finding.found.fix == "Allow it with SPILLWAY_PRIVATE_ORIGINS if it is yours."
