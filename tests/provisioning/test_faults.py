"""Each call that changes something goes wrong: everything is as before, or as wanted."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError

from sandbox.client import Sandbox
from tests.provisioning.conftest import ROOT, Site
from tests.provisioning.proxy import CountingProxy
from tests.provisioning.test_provision import passes, recorded, rows, status
from tests.rotation.proxy import Fault

# The environment, the URL, two statements, two resources, a method, an integration, a deployment.
REST = range(9)
# The first five of them, then an integration, a route, a deployment.
HTTP = range(4, 7)


def denied(site: Site, api_id: str, words: list[str], number: int) -> None:
    before, stored = site.snapshot(api_id), rows()
    site.proxy.restart()
    site.proxy.faults = {number: Fault.DENIED}

    with pytest.raises(CommandError, match="AWS does not allow it") as raised:
        site.provision(*words)

    assert len(site.proxy.changing) > number
    assert "Not done" not in str(raised.value)
    assert site.snapshot(api_id) == before
    assert rows() == stored


def test_what_was_done_before_a_refusal_is_taken_back(site: Site) -> None:
    site.deploy()
    api_id = site.rest_api()

    denied(site, api_id, site.rest_words(api_id), 3)

    assert "taken back: the function URL is gone." in site.told
    assert recorded() == [
        "provisioning.started", "secret.added", "secret.deleted", "provisioning.failed",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("number", [one for one in REST if one != 3])
def test_whatever_is_refused_everything_is_as_before(site: Site, number: int) -> None:
    site.deploy()
    api_id = site.rest_api()

    denied(site, api_id, site.rest_words(api_id), number)


@pytest.mark.slow
@pytest.mark.parametrize("number", HTTP)
def test_so_it_is_with_an_http_api(site: Site, number: int) -> None:
    site.deploy()
    api_id = site.http_api(auto_deploy=False)

    denied(site, api_id, site.http_words(api_id), number)


@pytest.mark.slow
def test_what_fails_after_everything_is_made_is_taken_back(site: Site) -> None:
    """The gateway's address is wrong, which only a request through it can find out."""
    site.deploy()
    api_id = site.rest_api()
    before, stored = site.snapshot(api_id), rows()
    words = site.rest_words(api_id)
    words[-1] = f"{site.aws.url}/_rest/{api_id}/prod/nowhere"

    with pytest.raises(CommandError, match="does not answer as the function itself does"):
        site.provision(*words)

    assert rows() == stored
    after = site.snapshot(api_id)
    # AWS forgets no deployment that a stage has had; ours is deleted.
    assert after == before


@pytest.mark.slow
def test_what_cannot_be_taken_back_is_named_and_the_secret_is_kept(site: Site) -> None:
    site.deploy()
    # The second statement is refused, and then that the environment is put back.
    site.proxy.faults = {3: Fault.DENIED, 7: Fault.DENIED}

    with pytest.raises(CommandError, match="Not done: the environment of") as raised:
        site.provision()

    assert "Kept, since the above still needs it: the secret orders" in str(raised.value)
    site.proxy.restart()
    told = site.provision()
    assert status(told["url"]) == 403


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "fault"),
    [*((number, Fault.REPLY_LOST) for number in REST), (1, Fault.THROTTLED), (7, Fault.THROTTLED)],
)
def test_a_lost_answer_and_a_throttled_call_are_survived(
    site: Site, number: int, fault: Fault
) -> None:
    site.deploy()
    site.proxy.faults = {number: fault}

    told = site.provision(*site.rest_words(site.rest_api()))

    assert passes(told["gateway_url"])
    assert status(told["url"]) == 403


@pytest.mark.slow
@pytest.mark.parametrize("number", HTTP)
def test_nothing_is_made_twice_in_an_http_api_when_an_answer_is_lost(
    site: Site, number: int
) -> None:
    site.deploy()
    api_id = site.http_api(auto_deploy=False)
    site.proxy.faults = {number: Fault.REPLY_LOST}

    told = site.provision(*site.http_words(api_id))

    routes, integrations, _ = site.snapshot(api_id)["apis"][0]
    assert (len(routes), len(integrations)) == (2, 2)
    assert passes(told["gateway_url"])


class Processes:
    """Runs `manage.py` in processes that can be killed, with a database of their own."""

    def __init__(self, folder: Path, aws: Sandbox) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPILLWAY_", "DJANGO_"))}
        self.environment = {
            **kept,
            **aws.environment(),
            "DATABASE_URL": f"sqlite:///{folder / 'db.sqlite3'}",
            "SPILLWAY_STATE_DIR": str(folder),
            "SPILLWAY_SECRET_KEY": secrets.token_urlsafe(40),
            "SPILLWAY_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
            "SPILLWAY_ROTATION_LEASE": "3",
            "SPILLWAY_ROTATION_SETTLE": "5",
        }
        status, printed = self.run("migrate")
        assert status == 0, printed

    def run(self, *words: str, proxy: CountingProxy | None = None) -> tuple[int, str]:
        """Exit status and all that was printed."""
        through = {} if proxy is None else {"AWS_ENDPOINT_URL": proxy.url}
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment | through,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if proxy is not None:
            proxy.on_kill = process.kill
        printed, _ = process.communicate(timeout=200)
        return process.returncode, printed


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory, aws: Sandbox) -> Processes:
    return Processes(tmp_path_factory.mktemp("processes"), aws)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", REST)
def test_killed_anywhere_and_run_again_it_is_right(
    site: Site, processes: Processes, number: int
) -> None:
    site.deploy()
    words = ["provision", site.name, "--slug", site.name, *site.rest_words(site.rest_api())]
    site.proxy.faults = {number: Fault.KILLED_AFTER}

    status_of_first, _ = processes.run(*words, proxy=site.proxy)
    site.proxy.restart()
    status_of_second, printed = processes.run(*words, proxy=site.proxy)

    assert (status_of_first, status_of_second) == (-9, 0), printed
    value = site.variables()["SECRET_HEADER"]
    url = site.aws.client("lambda").get_function_url_config(FunctionName=site.name)["FunctionUrl"]
    assert (status(url, value), status(url)) == (206, 403)
    assert passes(words[-1])
    site.proxy.restart()
    assert processes.run(*words, proxy=site.proxy)[0] == 0
    assert site.proxy.changing == []
