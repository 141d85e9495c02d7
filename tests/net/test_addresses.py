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
    "HTTPS://127.0.0.1/",
    "hTTpS://0X7F.1/",
    "https://127.0.0.1:443/",
    "https://10.0.0.1:8443/",
    "https://127.0.0.1.:443/",
    "https://127.0.1/",
    "https://127.000.000.001/",
    "https://00000177.0.0.1/",
    "https://012.0.0.1/",
    "https://0xA9FEA9FE/",
    "https://0xa9.0xfe.0xa9.0xfe/",
    "https://2852039166/",
    "https://025177524776/",
    "https://4294967295/",
    "https://99999999999/",
    "https://0x/",
    "https://0x7f.1./",
    "https://1.2.3.4.5/",
    "https://256.1.1.1/",
    "https://example.0x7f/",
    "https://100.127.255.255/",
    "https://198.19.255.255/",
    "https://203.0.113.1/",
    "https://[::ffff:0:127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "https://[64:ff9b::169.254.169.254]/",
    "https://[2002:a9fe:a9fe::1]/",
    "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
    "https://[2001:db8::1]/",
    "https://[fe80::1%eth0]/",
    "https://[::1%25lo]/",
    "https://[::ffff:127.0.0.1%25lo]/",
    "https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c%25eth0]/",
    "https://[::1]:443/",
    "https://[::1]x/",
    "https://[v1.x]/",
    "https://[]/",
    "https://x[::1]/",
    "https://\u2488\u2469\u2469/",
    "https://\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3/",
    "https://127.0.0.\u0661/",
    "https://127.0.0.\u00b9/",
    "https://local\u00adhost/",
    "https://local\u200bhost/",
    "https://example\uff0ecom/",
    "https://example.com\uff0f@127.0.0.1/",
    "https://example.com\u2100127.0.0.1/",
    "https://example.com:\u0664\u0664\u0663/",
    "https://example.com:+443/",
    "https://example.com:-1/",
    "https://example.com:443:80/",
    "https://example.com:443@127.0.0.1/",
    "https://@127.0.0.1/",
    "https://@example.com/",
    "https://:@example.com/",
    "https://127.0.0.1\\.example.com/",
    "https:\\\\127.0.0.1\\",
    "https:/\\127.0.0.1/",
    "https://127.0.0.1%2f.example.com/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%00.example.com/",
    "https://example.com\x00.127.0.0.1/",
    "https://exam\tple.com/",
    "https://exam\nple.com/",
    "ht\ntps://127.0.0.1/",
    " https://example.com/",
    "https://example.com/\r\n\r\nGET / HTTP/1.1",
    "https://example.com/\x7f",
    "https://example-.com/",
    "https://.example.com/",
    "https://example.com../",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 127}example/",
    "wss://example.com/",
    "ws://127.0.0.1/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/",
    "dict://127.0.0.1:11211/",
    "ldap://127.0.0.1/",
    "data:text/plain,hello",
    "jar:https://example.com!/",
    "s3://bucket/key",
    "https",
    "/etc/passwd",
    "",
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


def test_nor_is_a_name_registered_for_it_where_no_address_is_allowed() -> None:
    with pytest.raises(AddressForbiddenError, match="plain http"):
        STRICT.check_url("http://example.com/")
    # Where it leads to is looked up at each connection.
    AT_HOME.check_url("http://example.com/")
