"""From a bare function to a protected endpoint, in AWS's stand-in, with the deployable handler."""

from streams.models import Endpoint, Secret
from streams.provisioning.asking import Address
from streams.access.addresses import address_policy
from tests.provisioning.conftest import OTHERS, Site

HEADER = "x-secret-header"


def status(url: str, value: str | None = None) -> int | None:
    return Address(address_policy(), url, HEADER).status(value)


def test_a_bare_function_becomes_a_protected_endpoint(site: Site) -> None:
    site.deploy()
    api_id = site.rest_api()

    told = site.provision("--title", "Orders", "--group", "analysts", *site.rest_words(api_id))
    print(site.told)
    print("\n".join(site.proxy.changes))

    value = Secret.objects.get(name="orders").versions.get().value
    assert site.variables() == {**OTHERS, "SECRET_HEADER": value}
    assert status(told["url"], value) == 206
    assert status(told["url"]) == status(told["url"], "w" * 32) == 403
    assert status(told["gateway_url"]) == status(told["gateway_url"], "w" * 32) == 206
    site.proxy.restart()
    again = site.provision("--title", "Orders", "--group", "analysts", *site.rest_words(api_id))
    assert again["changes"] == []
    assert site.proxy.changes == []
