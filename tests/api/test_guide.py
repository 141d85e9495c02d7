"""The commands of docs/api.md, run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from streams.access import tokens
from streams.access.roles import Role
from streams.models import Rotation, Secret, ShareLink
from tests.api.client import staff
from tests.api.things import made_for

GUIDE = Path(__file__).parents[2] / "docs/api.md"
COMMANDS = [line.strip() for line in GUIDE.read_text().splitlines() if line.startswith("    curl ")]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_commands_of_the_guide_work(live_server: LiveServer) -> None:
    owner = staff(Role.OPERATOR)
    made_for(owner)
    Secret.objects.update(name="orders")
    Rotation.objects.update(state="completed", finished_at=timezone.now())
    token, answers = tokens.issue(owner), {}

    for command in COMMANDS:
        assert "https://exports.example.com/" in command
        here = command.replace("https://exports.example.com", live_server.url)
        # The one that the command before has made.
        here = here.replace("KEY/", f"{ShareLink.objects.order_by('-pk')[0].key}/")
        answers[command] = _run(here, token)

    assert len(answers) == 6
    assert ShareLink.objects.order_by("-pk")[0].revoked_at
    assert Rotation.objects.filter(state="running", requested_by="operator").count() == 1
    # The example's last one lists what the one before has started.
    assert list(answers.values())[-1]["items"][0]["state"] == "running"


def _run(command: str, token: str) -> Any:
    ran = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)],
        env={"PATH": "/usr/bin:/bin", "TOKEN": token},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
    return json.loads(ran.stdout)
