"""The address policy, against every disguise that we know of."""

import ipaddress

import pytest

from streams.net.addresses import AddressPolicy
from streams.net.errors import AddressForbiddenError

STRICT = AddressPolicy()
AT_HOME = AddressPolicy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8")))

HOSTILE_URLS = [
    "http://example.com\\@127.0.0.1/",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7F.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://127.0.0.0x1/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://169.254.170.2/v2/credentials",
    "https://100.64.0.1/",
    "https://198.18.0.1/",
    "https://192.0.0.170/",
    "https://192.88.99.1/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::127.0.0.1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:169.254.169.254]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001::1]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[100::1]/",
    "https://[::1/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://127\u30020\u30020\u30021/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://ex\u0430mple.com/",
    "https:///etc/passwd",
    "https:example.com",
    "https://",
    "//example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "ftp://example.com/",
    "javascript:alert(1)",
    "https://exa mple.com/",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://example.com:abc/",
    "https://example.com\r\nHost: x/",
    "https://example.com\t/",
    "https://exam%70le.com/",
    "https://-example.com/",
    "https://example..com/",
    "https://[127.0.0.1]/",
    "http://93.184.215.14/",
]


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_no_disguise_passes(url: str) -> None:
    with pytest.raises(AddressForbiddenError):
        STRICT.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://abc.lambda-url.eu-central-1.on.aws/",
        "https://example.com:8443/path?x=1",
        "https://xn--mller-kva.example/",
        "https://93.184.215.14/",
        "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
    ],
)
def test_public_addresses_pass(url: str) -> None:
    assert STRICT.check_url(url).scheme == "https"


def test_what_the_operator_named_passes_also_over_plain_http() -> None:
    AT_HOME.check_url("http://127.0.0.1:8080/")
    AT_HOME.check_url("https://[fd00::7]/")
    with pytest.raises(AddressForbiddenError):
        AT_HOME.check_url("http://10.0.0.1/")
    with pytest.raises(AddressForbiddenError):
        AT_HOME.check_address("::ffff:127.0.0.1", scheme="https")


def test_plain_http_reaches_no_public_address() -> None:
    with pytest.raises(AddressForbiddenError, match="plain http"):
        AT_HOME.check_address("93.184.215.14", scheme="http")
