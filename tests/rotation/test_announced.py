"""What a dry run says, compared with what is then called."""

import pytest
from django.core.management import CommandError

from streams.models import Rotation
from streams.rotation import engine, starting
from tests.rotation import test_sandbox
from tests.rotation.proxy import Proxy
from tests.rotation.test_sandbox import HEADER, Deployed, driven, dry_run

aws, deployed = test_sandbox.aws, test_sandbox.deployed
_settings = test_sandbox._settings


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--emergency"]])
def test_a_dry_run_names_every_call_and_makes_none_that_changes_something(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    deployed.rest("announced")
    deployed.http("announced", auto_deploy=False)
    proxy = Proxy(deployed.aws.url, lambda: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    engine.account.cache_clear()

    told = dry_run(*words)

    read = {call.operation for call in proxy.calls} - {"other"}
    assert proxy.changes() == []
    assert not Rotation.objects.exists()
    assert ("requests may be refused, for about" in told) == bool(words)
    driven(starting.start(deployed.secret, by="ada", emergency=bool(words)))
    proxy.close()
    changed = {call.operation for call in proxy.changes()}
    assert "UpdateIntegration" in changed
    assert "GetExport" in read
    assert [operation for operation in read | changed if operation not in told] == []


def test_a_dry_run_of_a_repair_names_what_differs(deployed: Deployed) -> None:
    http = deployed.http("repaired", auto_deploy=False)
    deployed.aws.client("apigatewayv2").update_integration(
        ApiId=http.api_id, IntegrationId=http.integration_id,
        RequestParameters={f"overwrite:header.{HEADER}": "alien-" + "a" * 32},
    )  # fmt: skip

    told = dry_run("--repair")

    assert "its mapping sends another than the current value" in told
    assert "UpdateIntegration" in told
    assert "alien" not in told
    with pytest.raises(CommandError, match="has not begun"):
        dry_run("--rollback")
