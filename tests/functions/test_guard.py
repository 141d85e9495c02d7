"""The secret header: who is admitted, and that nothing is said of what was presented."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spillway_lambda import guard
from spillway_lambda.guard import guarded
from spillway_lambda.invocation import Context, Event
from spillway_lambda.streaming import Response

from tests.functions.conftest import Function
from tests.functions.fake_runtime_api import FakeRuntimeApi

CONTEXT = Context("request-1", "", 0, "", "", "")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECRET_HEADER", "SECRET_HEADER_NEXT", "SECRET_HEADER_NAME"):
        monkeypatch.delenv(name, raising=False)


def export(event: Event, context: Context) -> Response:
    return Response(body=[b"the export"])


def event(**headers: str) -> Event:
    return {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}


@pytest.mark.parametrize(
    ("current", "upcoming", "presented", "admitted"),
    [
        # One value.
        ("right", None, "right", True),
        ("right", "", "right", True),
        ("right", None, "wrong", False),
        ("right", None, "righ", False),
        ("right", None, "right ", False),
        ("right", None, "RIGHT", False),
        ("right", None, "", False),
        ("right", None, None, False),
        # Two values, while a rotation is under way.
        ("right", "next", "right", True),
        ("right", "next", "next", True),
        ("right", "next", "wrong", False),
        ("right", "next", "", False),
        ("right", "next", None, False),
        ("right", "next", "rightnext", False),
        ("same", "same", "same", True),
        # An empty value never matches.
        ("right", "", "", False),
        ("right", "", None, False),
        # Without the variable nobody is admitted.
        (None, None, "", False),
        (None, None, None, False),
        (None, None, "None", False),
        ("", None, "", False),
        ("", "", "", False),
        ("", None, "any", False),
        (None, "next", "next", False),
        ("", "next", "next", False),
        # Not ASCII.
        ("schlüssel", None, "schlüssel", True),
        ("schlüssel", None, "schlussel", False),
    ],
)
def test_the_guard_admits_who_bears_a_value_that_is_set(
    monkeypatch: pytest.MonkeyPatch,
    current: str | None,
    upcoming: str | None,
    presented: str | None,
    *,
    admitted: bool,
) -> None:
    for name, value in (("SECRET_HEADER", current), ("SECRET_HEADER_NEXT", upcoming)):
        if value is not None:
            monkeypatch.setenv(name, value)
    request = event() if presented is None else event(x_secret_header=presented)

    response = guarded(export)(request, CONTEXT)

    assert response.status == (200 if admitted else 403)


@given(st.text().filter(lambda text: text not in {"right", "next"}))
def test_no_other_text_is_admitted(presented: str) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SECRET_HEADER", "right")
        monkeypatch.setenv("SECRET_HEADER_NEXT", "next")

        assert not guard.admits(presented)


@pytest.mark.parametrize(
    "event", [{}, {"headers": None}, {"headers": {"x-secret-header": None}}, {"headers": {}}]
)
def test_an_event_without_the_header_is_refused(
    monkeypatch: pytest.MonkeyPatch, event: Event
) -> None:
    monkeypatch.setenv("SECRET_HEADER", "None")

    assert guarded(export)(event, CONTEXT).status == 403


def test_header_and_variable_can_be_named_by_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERS_KEY", "current")
    monkeypatch.setenv("ORDERS_KEY_NEXT", "next")
    handler = guarded(export, header="X-Orders-Key", variable="ORDERS_KEY")

    assert handler(event(x_orders_key="current"), CONTEXT).status == 200
    assert handler(event(x_orders_key="next"), CONTEXT).status == 200
    assert handler(event(x_secret_header="current"), CONTEXT).status == 403


def test_the_header_can_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_HEADER", "right")
    monkeypatch.setenv("SECRET_HEADER_NAME", "X-Origin-Key")

    assert guarded(export)(event(x_origin_key="right"), CONTEXT).status == 200
    assert guarded(export)(event(x_secret_header="right"), CONTEXT).status == 403


def test_both_values_are_compared_each_time_and_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return first == second

    monkeypatch.setattr("hmac.compare_digest", compare)
    monkeypatch.setenv("SECRET_HEADER", "right")
    monkeypatch.setenv("SECRET_HEADER_NEXT", "next")

    for presented in ("right", "next", "wrong", ""):
        compared.clear()
        guard.admits(presented)
        assert compared == [(b"right", presented.encode()), (b"next", presented.encode())]


def test_a_refusal_says_nothing_of_any_value(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET_HEADER", "the-right-one")
    monkeypatch.setenv("SECRET_HEADER_NEXT", "the-next-one")

    response = guarded(export)(event(x_secret_header="the-wrong-one"), CONTEXT)

    written = capfd.readouterr()
    line = json.loads(written.err)
    assert line == {"event": "refused", "request_id": "request-1", "secret_set": True}
    said = repr(response) + written.out + written.err
    assert not any(f"the-{which}-one" in said for which in ("right", "next", "wrong"))


def test_a_refusal_is_streamed_as_json_and_logged(
    api: FakeRuntimeApi, run: Callable[..., Function]
) -> None:
    function = run("handlers.secret", SECRET_HEADER="right")

    sent = api.answer_to(event(x_secret_header="a-wrong-value"))

    assert sent.prelude["statusCode"] == 403
    assert sent.prelude["headers"]["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {
        "error": {"code": "forbidden", "message": "The secret header is missing or wrong."}
    }
    assert function.wait_for("refused")["request_id"] == "request-1"
    assert "a-wrong-value" not in function.log
    assert "right" not in function.log


def test_a_refused_head_request_has_no_body(
    api: FakeRuntimeApi, run: Callable[..., Function]
) -> None:
    run("handlers.secret", SECRET_HEADER="right")

    sent = api.answer_to({"requestContext": {"http": {"method": "HEAD"}}})

    assert sent.prelude["statusCode"] == 403
    assert sent.body == b""


def test_who_bears_the_secret_gets_the_export(
    api: FakeRuntimeApi, run: Callable[..., Function]
) -> None:
    run("handlers.secret", SECRET_HEADER="right", SECRET_HEADER_NEXT="next")

    bodies = [api.answer_to(event(x_secret_header=value)).body for value in ("right", "next")]

    assert bodies == [b"one,two", b"one,two"]
