"""Each repair mends what it is offered for, does no harm twice, and undoes what it cannot end."""

import io
import json
import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from sandbox.client import Sandbox
from streams.doctor import repairs, run
from streams.doctor.checks import Finding
from streams.models import Endpoint, ProvisioningTurn, Rotation, RotationState, User
from streams.provisioning import turn
from streams.rotation import engine, starting
from tests.doctor import test_faults as faults
from tests.doctor import test_gateways as gateways
from tests.doctor.conftest import HANDLER, OTHERS, Clinic, doctor
from tests.doctor.test_docs import sections
from tests.provisioning.proxy import CountingProxy
from tests.provisioning.test_faults import Processes
from tests.rotation.proxy import Call, Fault, Proxy

Break = Callable[[Clinic], None]

QUICK: list[tuple[str, Break]] = [
    ("url-missing", faults._url_is_gone),
    ("permission-invoke", faults._second_statement_is_gone),
    ("invoke-open", faults._everybody_may_invoke),
    ("environment-differs", faults._variable_differs),
]
SLOW: list[tuple[str, Break]] = [
    ("function-timeout", faults._time_is_short),
    ("url-buffered", faults._url_buffers),
    ("permission-url", faults._first_statement_is_gone),
    ("permission-url", faults._statement_is_not_on_the_alias),
    ("environment-unset", faults._variable_is_unset),
    ("environment-next", faults._next_is_left_over),
    ("mapping-absent", gateways._absent),
    ("mapping-unquoted", gateways._unquoted),
    ("mapping-quoted", gateways._quoted),
    ("mapping-append", gateways._append),
    ("mapping-differs", gateways._other),
    ("mapping-undeployed", gateways._undeployed),
]


REGISTRY = """
version: 1
secrets:
  - name: orders
    value_from_file: {folder}/value
    function: {{name: {name}, region: {region}}}
endpoints:
  - {{slug: orders, title: Orders, kind: function-url, url: "{url}", auth: secret-header,
     secret: orders, groups: "*"}}
"""


@pytest.fixture(autouse=True)
def _short(settings: Settings) -> None:
    settings.ROTATION_SETTLE = settings.ROTATION_PROPAGATION = settings.ROTATION_DRAIN = 0.3


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the audit log is told."""
    told: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr("streams.audit.record", lambda action, **also: told.append((action, also)))
    return told


def found(clinic: Clinic) -> Finding:
    """The only finding there is."""
    (finding,) = run.examine(None, engine.account(), seconds=60, say=lambda _: None).findings
    return finding


def changes(proxy: Proxy) -> list[Call]:
    """What may have changed something: invocations are questions."""
    return [call for call in proxy.changes() if "invocations" not in call.path]


def statements(clinic: Clinic) -> Any:
    return json.loads(clinic.functions.get_policy(FunctionName=clinic.name)["Policy"])["Statement"]


def variables(clinic: Clinic) -> Any:
    answer = clinic.functions.get_function_configuration(FunctionName=clinic.name)
    return answer["Environment"]["Variables"]


def mended(clinic: Clinic, proxy: Proxy, identity: str, break_it: Break) -> None:
    break_it(clinic)
    finding = found(clinic)
    assert finding.check.id == identity
    foretold = repairs.preview(finding)
    assert changes(proxy) == []

    told = clinic.run("--fix", "--yes")

    assert told["findings"] == []
    assert clinic.status == 0
    (result,) = told["repairs"]
    assert (result["id"], result["result"], result["problem"]) == (identity, "mended", None)
    assert result["done"]
    # Each call was told of, and no other one was made.
    names = {name for line in foretold for name in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", line)}
    assert {call.operation for call in changes(proxy)} - {"other"} <= names
    clinic.told += json.dumps(foretold)
    assert faults.OTHER not in clinic.told
    before = len(changes(proxy))
    assert repairs.do(finding, by=None).state is repairs.State.ALREADY
    assert len(changes(proxy)) == before


@pytest.mark.parametrize(("identity", "break_it"), QUICK)
def test_the_repair_mends_it_and_does_nothing_twice(
    clinic: Clinic, proxy: Proxy, identity: str, break_it: Break
) -> None:
    mended(clinic, proxy, identity, break_it)


@pytest.mark.slow
@pytest.mark.parametrize(("identity", "break_it"), SLOW)
def test_so_does_each_other_repair(
    clinic: Clinic, proxy: Proxy, identity: str, break_it: Break
) -> None:
    mended(clinic, proxy, identity, break_it)


def test_each_repair_that_is_documented_is_tried() -> None:
    documented = {identity for identity, text in sections().items() if "`--fix`" in text}

    assert documented == {identity for identity, _ in (*QUICK, *SLOW)}


def test_a_repair_tells_its_calls_and_what_else_it_touches(clinic: Clinic) -> None:
    faults._second_statement_is_gone(clinic)

    (finding,) = clinic.run()["findings"]

    told = finding["repair"]
    assert told["sentence"] == (
        f"Everybody may call the URL of {clinic.name}, once it is proven that it checks."
    )
    assert told["preview"][1:] == [
        "permissions: lambda:InvokeFunction is permitted to everybody, where "
        "lambda:InvokedViaFunctionUrl is true.",
        "Proof: The URL is asked over the network, in the same ways.",
        "Proof: It is looked at once more: the finding must be gone.",
        f"Call: lambda AddPermission(FunctionName={clinic.name}, "
        "StatementId=spillway-invoke-via-url, Action=lambda:InvokeFunction, Principal=*, "
        "InvokedViaFunctionUrl=True)",
        "Everybody who knows the URL reaches the function then, which refuses them itself.",
    ]


def test_what_a_deployment_publishes_besides_is_told(clinic: Clinic) -> None:
    gateways._undeployed(clinic)
    gateway = clinic.secret.gateways.get()
    apis = clinic.aws.client("apigateway")
    (root,) = (
        one["id"]
        for one in apis.get_resources(restApiId=gateway.api_id)["items"]
        if one["path"] == "/"
    )
    other = apis.create_resource(restApiId=gateway.api_id, parentId=root, pathPart="unfinished")
    where = {"restApiId": gateway.api_id, "resourceId": other["id"], "httpMethod": "GET"}
    apis.put_method(**where, authorizationType="NONE")
    apis.put_integration(**where, type="HTTP_PROXY", integrationHttpMethod="GET", uri=clinic.url)

    told = repairs.preview(found(clinic))

    assert any("a deployment also publishes" in line and "/unfinished" in line for line in told)
    assert any(line.startswith(f"Calls: UpdateIntegration of {gateway}, where") for line in told)


def test_a_function_that_does_not_check_is_not_made_public(clinic: Clinic, proxy: Proxy) -> None:
    faults._handler_looks_at("True")(clinic)
    faults._second_statement_is_gone(clinic)

    told = clinic.run("--fix", "--yes")

    (result,) = told["repairs"]
    assert result["result"] == "failed"
    assert "does not check the secret" in result["problem"]
    assert changes(proxy) == []
    assert [one["id"] for one in told["findings"]] == ["permission-invoke"]
    assert clinic.status == 1


def test_what_aws_denies_is_told_and_the_rest_undone(
    clinic: Clinic, proxy: Proxy, recorded: list[tuple[str, dict[str, Any]]]
) -> None:
    for name in ("public-url", "public-invoke"):
        clinic.functions.remove_permission(FunctionName=clinic.name, StatementId=name)
    finding = run.examine(None, engine.account(), seconds=60, say=lambda _: None).findings[0]
    proxy.fail("lambda:AddPermission", Fault.DENIED, nth=2)
    ada = User.objects.create_user("ada")

    with pytest.raises(repairs.FailedError, match="AWS does not allow it") as raised:
        repairs.do(finding, by=ada)

    assert (raised.value.undone[-1], raised.value.left) == (
        "lambda:InvokeFunctionUrl is not permitted.", (),
    )  # fmt: skip
    assert repairs.current(finding.check.id, finding.subject.name, secret="orders")
    begun, failed = recorded
    assert [action for action, _ in recorded] == ["doctor.repair-begun", "doctor.repair-failed"]
    assert (begun[1]["by"], failed[1]["what"]) == (ada, finding.subject.name)
    assert "AWS does not allow it" in failed[1]["details"]["problem"]


def test_what_cannot_be_undone_is_named(clinic: Clinic, proxy: Proxy) -> None:
    faults._everybody_may_invoke(clinic)
    clinic.functions.remove_permission(FunctionName=clinic.name, StatementId="public-invoke")
    finding, before = found(clinic), len(statements(clinic))
    # The statement that takes its place is added before, and cannot be removed again either.
    proxy.fail("lambda:RemovePermission", Fault.DENIED)

    with pytest.raises(repairs.FailedError, match="invoke: AWS does not allow it") as raised:
        repairs.do(finding, by=None)

    assert any("lambda:InvokeFunction is not permitted" in one for one in raised.value.left)
    assert len(statements(clinic)) == before + 1


def test_a_statement_without_which_nobody_gets_in_is_put_back(clinic: Clinic, proxy: Proxy) -> None:
    faults._everybody_may_invoke(clinic)
    finding, before = found(clinic), statements(clinic)
    other = next(one for one in before if one["Sid"] == "public-invoke")
    # Somebody removes the one that was to take its place, at that moment.
    proxy.on_kill = lambda: clinic.functions.remove_permission(
        FunctionName=clinic.name, StatementId="public-invoke"
    )
    proxy.fail("lambda:RemovePermission", Fault.KILLED_AFTER)

    with pytest.raises(repairs.FailedError, match="does not let the right value in") as raised:
        repairs.do(finding, by=None)

    assert raised.value.undone == ("the statement open is there.",)
    assert [one for one in before if one != other] == statements(clinic)


@pytest.mark.slow
def test_a_time_out_that_helps_nothing_is_taken_back(clinic: Clinic, proxy: Proxy) -> None:
    faults._time_is_short(clinic)
    finding = found(clinic)
    proxy.on_kill = lambda: faults._url_is_gone(clinic)
    proxy.fail("lambda:UpdateFunctionConfiguration", Fault.KILLED_AFTER)

    with pytest.raises(repairs.FailedError, match="the same is still found") as raised:
        repairs.do(finding, by=None)

    assert raised.value.undone == ("the time-out is 1 s.",)
    answer = clinic.functions.get_function_configuration(FunctionName=clinic.name)
    assert answer["Timeout"] == 1


def test_no_time_out_is_changed_beside_a_rotation(clinic: Clinic, proxy: Proxy) -> None:
    faults._time_is_short(clinic)
    finding = found(clinic)
    starting.start(clinic.secret, by="ada")

    with pytest.raises(repairs.FailedError, match="rotation of orders is under way"):
        repairs.do(finding, by=None)

    assert changes(proxy) == []


def test_a_repair_by_rotation_that_is_denied_stays_open_and_says_so(
    clinic: Clinic, proxy: Proxy
) -> None:
    faults._variable_differs(clinic)
    finding, before = found(clinic), variables(clinic)
    proxy.fail("lambda:UpdateFunctionConfiguration", Fault.DENIED)

    with pytest.raises(repairs.FailedError, match="AWS does not allow it") as raised:
        repairs.do(finding, by=None)

    (left,) = raised.value.left
    assert "stays open at admit" in left
    assert variables(clinic) == before
    assert Rotation.objects.get().state == RotationState.STUCK
    with pytest.raises(repairs.NotNowError, match="rotation of orders is under way"):
        repairs.do(finding, by=None)


def test_without_waiting_workers_do_the_rest(clinic: Clinic) -> None:
    faults._variable_differs(clinic)
    ada = User.objects.create_user("ada")

    outcome = repairs.do(found(clinic), by=ada, wait=False)

    rotation = Rotation.objects.get()
    assert (outcome.state, outcome.rotation) == (repairs.State.STARTED, rotation.pk)
    assert (rotation.mode, rotation.requested_by) == ("repair", "ada")


def test_beside_a_rotation_or_a_run_that_provisions_nothing_is_begun(
    clinic: Clinic, proxy: Proxy
) -> None:
    faults._second_statement_is_gone(clinic)
    finding = found(clinic)
    with turn.taken("people", lambda _: None) as other:
        stop = threading.Event()

        def alive() -> None:
            while not stop.wait(0.1):
                other.renew()
            connection.close()

        thread = threading.Thread(target=alive)
        thread.start()
        try:
            with pytest.raises(repairs.NotNowError, match="provisions people just now"):
                repairs.do(finding, by=None)
        finally:
            stop.set()
            thread.join()
    starting.start(clinic.secret, by="ada")
    with pytest.raises(repairs.NotNowError, match="rotation of orders is under way"):
        repairs.preview(finding)
    with pytest.raises(repairs.RepairError, match="rotation of orders is under way"):
        repairs.do(finding, by=None)

    assert changes(proxy) == []
    assert ProvisioningTurn.objects.free().exists()


def test_of_two_at_once_one_does_it(clinic: Clinic, proxy: Proxy) -> None:
    faults._second_statement_is_gone(clinic)
    finding = found(clinic)
    came: list[str] = []

    def mend() -> None:
        try:
            came.append(str(repairs.do(finding, by=None).state))
        except repairs.NotNowError:
            came.append("not now")
        connection.close()

    both = [threading.Thread(target=mend) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    assert sorted(came) in (["already mended", "mended"], ["mended", "not now"])
    assert [call.operation for call in changes(proxy)] == ["AddPermission"]


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_it_asks_before_it_does_anything(
    clinic: Clinic, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, answer: str, status: int
) -> None:
    faults._time_is_short(clinic)
    Endpoint.objects.create(slug="inner", title="Inner", kind="http", url="http://10.0.0.1/")
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))

    clinic.write("orders", "--fix")

    assert "The time-out becomes 20 s; it is 1 s." in clinic.told
    assert "Do this? [y/N]" in clinic.told
    # A warning alone ends with 0: what was not wanted is not a fault.
    assert clinic.status == 0
    assert bool(changes(proxy)) == (status == 0)
    assert ("Nothing was changed." in clinic.told) == (status == 1)


@pytest.mark.django_db
@pytest.mark.parametrize("words", [("--yes",), ("--json", "--fix")])
def test_words_that_do_not_go_together_end_with_2(words: tuple[str, ...]) -> None:
    status, out, err = doctor(*words)

    assert (status, out) == (2, "")
    assert "--fix" in err


def test_a_row_of_a_report_leads_back_to_its_finding(clinic: Clinic) -> None:
    faults._time_is_short(clinic)
    (row,) = clinic.run()["findings"]

    (finding,) = repairs.current(
        row["id"], row["subject"], secret=row["secret"], endpoint=row["endpoint"]
    )

    assert finding.found.sentence == row["sentence"]
    assert repairs.current("url-missing", row["subject"], endpoint=row["endpoint"]) == []
    with pytest.raises(repairs.NotNowError, match="no check nonsense"):
        repairs.current("nonsense", row["subject"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("break_it", "call", "fault"),
    [
        (faults._second_statement_is_gone, "lambda:AddPermission", Fault.REPLY_LOST),
        (faults._everybody_may_invoke, "lambda:RemovePermission", Fault.REPLY_LOST),
        (faults._time_is_short, "lambda:UpdateFunctionConfiguration", Fault.REPLY_LOST),
        (faults._second_statement_is_gone, "lambda:AddPermission", Fault.THROTTLED),
        (faults._everybody_may_invoke, "lambda:RemovePermission", Fault.SERVER_ERROR),
        (faults._time_is_short, "lambda:UpdateFunctionConfiguration", Fault.CONFLICT),
    ],
)
def test_what_passes_by_itself_is_tried_again(
    clinic: Clinic, proxy: Proxy, break_it: Break, call: str, fault: Fault
) -> None:
    break_it(clinic)
    finding = found(clinic)
    proxy.fail(call, fault)

    outcome = repairs.do(finding, by=None)

    assert proxy.injected == [(call, fault)]
    assert outcome.state is repairs.State.MENDED
    assert clinic.run()["findings"] == []
    reached = [one for one in changes(proxy) if one.status or one.reached]
    assert [one.name for one in reached] == [call]


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_killed_in_the_middle_and_run_again_it_is_mended(aws: Sandbox, tmp_path: Path) -> None:
    name, value = f"orders-{secrets.token_hex(4)}", secrets.token_urlsafe(32)
    url = aws.deploy_function(name, HANDLER, "app.handler", {**OTHERS, "SECRET_HEADER": value})
    functions: Any = aws.client("lambda")
    for statement in ("public-url", "public-invoke"):
        functions.remove_permission(FunctionName=name, StatementId=statement)
    processes, proxy = Processes(tmp_path, aws), CountingProxy(aws.url)
    (tmp_path / "value").write_text(value)
    (tmp_path / "registry.yaml").write_text(REGISTRY.format(
        folder=tmp_path, name=name, region=aws.region, url=url
    ))  # fmt: skip
    assert processes.run("apply", str(tmp_path / "registry.yaml"))[0] == 0
    fix = ("doctor", "orders", "--fix", "--yes")
    proxy.faults = {0: Fault.KILLED_AFTER}

    killed, _ = processes.run(*fix, proxy=proxy)
    proxy.restart()
    status, printed = processes.run(*fix, proxy=proxy)

    proxy.close()
    assert (killed, status) == (-9, 0), printed
    policy = json.loads(functions.get_policy(FunctionName=name)["Policy"])
    assert len(policy["Statement"]) == 2
    assert len(proxy.changing) == 1
    assert value not in printed
