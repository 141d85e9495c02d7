"""What docs/notifications.md tells receivers to do is done here, with what really came."""

import base64
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streams.models import Channel
from streams.models.notices import all_events
from tests.notices.receivers import Posted, Receiver
from tests.notices.test_webhook import attempt, told

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "notifications.md").read_text("utf-8")


def sample(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture
def is_genuine() -> Callable[[Any, bytes, str], bool]:
    names: dict[str, Any] = {}
    exec(sample("python"), names)
    found: Callable[[Any, bytes, str], bool] = names["is_genuine"]
    return found


@pytest.fixture
def post(hook: Channel, receiver: Receiver) -> Posted:
    attempt(told())
    return receiver.posts[0]


def test_the_python_sample_knows_what_is_ours(
    post: Posted, hook: Channel, is_genuine: Callable[[Any, bytes, str], bool]
) -> None:
    assert is_genuine(post.headers, post.body, hook.key)
    # A second signature, as while a key is being replaced, does no harm.
    both = {**post.headers, "webhook-signature": f"v1,eA== {post.headers['webhook-signature']}"}
    assert is_genuine(both, post.body, hook.key)


@pytest.mark.parametrize(
    "change", ["body", "webhook-id", "webhook-timestamp", "webhook-signature", "key", "age"]
)
def test_the_python_sample_knows_what_is_not(
    post: Posted, hook: Channel, is_genuine: Callable[[Any, bytes, str], bool], change: str
) -> None:
    headers, body, key = dict(post.headers), post.body, hook.key
    if change == "body":
        body += b" "
    elif change == "key":
        key = "whsec_" + base64.b64encode(b"k" * 32).decode()
    elif change == "age":
        headers["webhook-timestamp"] = str(int(headers["webhook-timestamp"]) - 301)
    elif change == "webhook-timestamp":
        headers[change] = str(int(headers[change]) + 1)
    else:
        headers[change] += "x"

    assert not is_genuine(headers, body, key)


def test_the_sample_for_the_shell_prints_the_signature(
    post: Posted, hook: Channel, tmp_path: Path
) -> None:
    (tmp_path / "body").write_bytes(post.body)

    done = subprocess.run(
        ["sh", "-e", "-c", sample("sh")],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "KEY": hook.key,
            "ID": post.headers["webhook-id"],
            "TIMESTAMP": post.headers["webhook-timestamp"],
        },
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"v1,{done.stdout.strip()}" == post.headers["webhook-signature"]


def test_every_event_is_explained() -> None:
    for event in all_events():
        assert f"`{event}`" in TEXT
