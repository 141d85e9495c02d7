"""Versions and labels of Secrets Manager, as AWS documents them."""

import uuid
from typing import Any

import pytest

from tests.sandbox.conftest import Running


@pytest.fixture
def secrets(usual: Running) -> Any:
    return usual.aws.client("secretsmanager")


@pytest.fixture
def name() -> str:
    return f"test/{uuid.uuid4().hex}"


def labels(secrets: Any, name: str) -> dict[str, str]:
    stages = secrets.describe_secret(SecretId=name)["VersionIdsToStages"]
    return {label: version for version, given in stages.items() for label in given}


def created(secrets: Any, name: str, value: str) -> str:
    version = str(uuid.uuid4())
    secrets.create_secret(Name=name, SecretString=value, ClientRequestToken=version)
    return version


def put(secrets: Any, name: str, value: str, version: str = "", **more: Any) -> str:
    version = version or str(uuid.uuid4())
    secrets.put_secret_value(SecretId=name, SecretString=value, ClientRequestToken=version, **more)
    return version


def value(secrets: Any, name: str, **which: str) -> str:
    return str(secrets.get_secret_value(SecretId=name, **which)["SecretString"])


def test_the_first_version_has_the_callers_id_and_is_current(secrets: Any, name: str) -> None:
    version = created(secrets, name, "one")

    assert labels(secrets, name) == {"AWSCURRENT": version}
    assert value(secrets, name, VersionId=version) == value(secrets, name) == "one"
    with pytest.raises(secrets.exceptions.ResourceExistsException):
        created(secrets, name, "two")


def test_a_secret_without_a_value_has_no_version_and_its_first_one_is_current(
    secrets: Any, name: str
) -> None:
    secrets.create_secret(Name=name)
    assert labels(secrets, name) == {}
    with pytest.raises(secrets.exceptions.ResourceNotFoundException):
        value(secrets, name)

    version = put(secrets, name, "one", VersionStages=["AWSPENDING"])

    assert labels(secrets, name) == {"AWSPENDING": version, "AWSCURRENT": version}


def test_a_version_that_is_put_again_is_left_alone(secrets: Any, name: str) -> None:
    first = created(secrets, name, "one")
    second = put(secrets, name, "two", VersionStages=["AWSPENDING"])
    secrets.update_secret_version_stage(
        SecretId=name, VersionStage="AWSPENDING", RemoveFromVersionId=second
    )

    put(secrets, name, "two", second, VersionStages=["AWSPENDING"])

    assert labels(secrets, name) == {"AWSCURRENT": first}
    with pytest.raises(secrets.exceptions.ResourceExistsException):
        put(secrets, name, "three", second, VersionStages=["AWSPENDING"])
    assert value(secrets, name, VersionId=second) == "two"


def test_a_label_comes_away_from_the_version_that_had_it(secrets: Any, name: str) -> None:
    first = created(secrets, name, "one")
    put(secrets, name, "two", VersionStages=["AWSPENDING"])

    third = put(secrets, name, "three", VersionStages=["AWSPENDING"])

    assert labels(secrets, name) == {"AWSCURRENT": first, "AWSPENDING": third}


def test_where_the_current_label_moves_the_previous_one_follows(secrets: Any, name: str) -> None:
    first = created(secrets, name, "one")
    second = put(secrets, name, "two", VersionStages=["AWSPENDING"])
    move = {"SecretId": name, "VersionStage": "AWSCURRENT", "MoveToVersionId": second}

    with pytest.raises(secrets.exceptions.InvalidParameterException):
        secrets.update_secret_version_stage(**move)
    with pytest.raises(secrets.exceptions.InvalidParameterException):
        secrets.update_secret_version_stage(**move, RemoveFromVersionId=second)
    secrets.update_secret_version_stage(**move, RemoveFromVersionId=first)

    assert labels(secrets, name) == {
        "AWSCURRENT": second, "AWSPREVIOUS": first, "AWSPENDING": second,
    }  # fmt: skip


def test_a_secret_that_is_to_be_deleted_is_not_read(secrets: Any, name: str) -> None:
    created(secrets, name, "one")
    secrets.delete_secret(SecretId=name)

    with pytest.raises(secrets.exceptions.InvalidRequestException):
        value(secrets, name)
    assert secrets.describe_secret(SecretId=name)["DeletedDate"]
