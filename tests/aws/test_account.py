"""Credentials that cannot be had: said soon, and tried again."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.env import Environment
from streams.aws.account import Account
from streams.aws.calls import Calls
from streams.aws.failures import DeniedError, UnavailableError

LEASE = Environment.model_fields["rotation_lease"].default
ROLE = "arn:aws:iam::123456789012:role/rotates"


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of something that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=20) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def own_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tests-only")


def call(account: Account, role_arn: str = "") -> None:
    Calls(account, "eu-central-1", role_arn)("lambda", "GetFunctionConfiguration", FunctionName="f")


def assert_passing_and_soon(account: Account, role_arn: str = "") -> None:
    began = time.monotonic()

    with pytest.raises(UnavailableError) as caught:
        call(account, role_arn)

    assert caught.value.passing
    # A role may be assumed by a role, and then comes the call itself.
    assert time.monotonic() - began < LEASE / 4


@pytest.mark.slow
def test_a_role_that_sts_does_not_answer_for_is_tried_again_within_the_lease(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_keys(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", silent)

    assert_passing_and_soon(Account(), ROLE)


@pytest.mark.slow
def test_a_web_identity_that_sts_does_not_answer_for_is_tried_again_within_the_lease(
    silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("tests-only")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", silent)

    assert_passing_and_soon(Account())


def test_credentials_that_come_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", nobody)
    account = Account()
    with pytest.raises(DeniedError):
        call(account)

    own_keys(monkeypatch)

    with pytest.raises(UnavailableError):
        call(account)
