"""A change spreads: old and new side by side, then the new alone."""

import json
import time
from pathlib import Path

from tests.sandbox.conftest import Running, get


def set_secret(usual: Running, value: str) -> None:
    usual.aws.client("lambda").update_function_configuration(
        FunctionName=usual.name, Environment={"Variables": {"SECRET_HEADER": value}}
    )


def values(url: str, times: int = 20) -> set[str]:
    return {json.loads(get(url).body)["value"] for _ in range(times)}


def test_old_and_new_environments_serve_side_by_side(usual: Running) -> None:
    url = usual.deploy("secret", {"SECRET_HEADER": "old"})
    assert values(url, 2) == {"old"}

    set_secret(usual, "new")

    assert values(url) == {"old", "new"}


def test_old_environments_end_after_the_time_of_propagation(usual: Running) -> None:
    url = usual.deploy("secret", {"SECRET_HEADER": "old"})
    values(url, 1)
    set_secret(usual, "new")

    # No request is needed for the time to pass.
    time.sleep(1.1)

    assert values(url) == {"new"}


def test_no_old_process_is_left(usual: Running) -> None:
    url = usual.deploy("echo", {"RELEASE": "old"})
    pid = json.loads(get(url).body)["pid"]
    usual.aws.client("lambda").update_function_configuration(
        FunctionName=usual.name, Environment={"Variables": {"RELEASE": "new"}}
    )
    time.sleep(2.5)

    assert not Path(f"/proc/{pid}").exists()


def test_a_function_that_was_never_called_has_no_old_environments(usual: Running) -> None:
    url = usual.deploy("secret", {"SECRET_HEADER": "old"})

    set_secret(usual, "new")

    assert values(url) == {"new"}


def test_new_code_spreads_too(usual: Running, tmp_path: Path) -> None:
    source = Path(__file__).parent / "runtime"
    for path in source.glob("*"):
        (tmp_path / path.name).write_text(path.read_text().replace("no metadata", "new code"))
    url = usual.deploy("plain.stream")
    assert get(url).body == b"no metadata"

    usual.aws.deploy_function(usual.name, tmp_path, "plain.stream")

    assert {get(url).body for _ in range(20)} == {b"no metadata", b"new code"}


def test_an_alias_moves_from_version_to_version(usual: Running) -> None:
    usual.deploy("secret", {"SECRET_HEADER": "old"})
    functions = usual.aws.client("lambda")
    functions.publish_version(FunctionName=usual.name)
    set_secret(usual, "new")
    functions.publish_version(FunctionName=usual.name)
    functions.create_alias(FunctionName=usual.name, Name="live", FunctionVersion="1")
    usual.aws.open_to_everyone(usual.name, qualifier="live")
    url = usual.aws.function_url(usual.name, qualifier="live")
    assert values(url, 3) == {"old"}

    functions.update_alias(FunctionName=usual.name, Name="live", FunctionVersion="2")

    assert values(url) == {"old", "new"}
    time.sleep(1.1)
    assert values(url) == {"new"}
