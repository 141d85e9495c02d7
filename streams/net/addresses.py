"""Which addresses an origin may have, and what a URL must look like.

Checked when an endpoint is registered and again at every connection, since a name may lead
elsewhere by then (DNS rebinding).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from streams.net.errors import AddressForbiddenError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# What `is_global` leaves open, and forms that carry another address within themselves.
_FORBIDDEN: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        # Of IPv6 only 2000::/3 is unicast that is routed everywhere (RFC 4291 section 2.4). The
        # rest is special, not assigned, or holds an IPv4 address.
        "::/3",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
        "4000::/2",
        "8000::/1",
    )
)
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE | re.ASCII)
# Resolvers read a name whose last label is a number as an address: 2130706433, 0x7f.1, 127.1.
_NUMERIC = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class AddressPolicy:
    """What the operator allows besides public addresses (`SPILLWAY_PRIVATE_ORIGINS`)."""

    private: Sequence[Network] = field(default=())

    def is_private_and_allowed(self, address: Address) -> bool:
        return any(address in network for network in self.private)

    def allows(self, address: Address, *, scheme: str) -> bool:
        """Plain http only to addresses that the operator named; https also to public ones."""
        if self.is_private_and_allowed(address):
            return True
        if scheme != "https" or not address.is_global or address.is_multicast:
            return False
        return not any(address in network for network in _FORBIDDEN)

    def check_address(self, text: str, *, scheme: str) -> None:
        """Raises `AddressForbiddenError` for an address that no connection may be made to."""
        try:
            allowed = self.allows(ipaddress.ip_address(text), scheme=scheme)
        except ValueError:
            allowed = False
        if not allowed:
            raise AddressForbiddenError(
                f"{text} is not an address that this portal may connect to"
                f"{' over plain http' if scheme == 'http' else ''}. "
                "Allow it with SPILLWAY_PRIVATE_ORIGINS if it is yours."
            )

    def check_url(self, url: str) -> SplitResult:
        """The parts of a URL without disguises.

        Raises `AddressForbiddenError` for another scheme, user information, an address in any but
        its usual form, and for an address that is not allowed. Names are not looked up here.
        """
        if not re.fullmatch(r"[\x21-\x7e]+", url) or "\\" in url:
            raise AddressForbiddenError("The URL has characters that no URL may have.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise AddressForbiddenError("The URL's host or port cannot be read.") from None
        if parts.scheme not in {"http", "https"} or port == 0:
            raise AddressForbiddenError("The URL must begin with https:// and name a host.")
        if parts.scheme == "http" and not self.private:
            raise AddressForbiddenError(
                "The URL must begin with https://: plain http is for addresses that "
                "SPILLWAY_PRIVATE_ORIGINS allows, and it allows none."
            )
        if "@" in parts.netloc:
            raise AddressForbiddenError("The URL must hold no user name or password.")
        if "%" in parts.netloc:
            # Also a zone (`%eth0`), which is of this machine and no part of an address.
            raise AddressForbiddenError("The URL's host is not a name or an address.")
        if "[" in parts.netloc:
            self.check_address(host, scheme=parts.scheme)
        elif _NUMERIC.fullmatch(host):
            self._check_dotted(host, scheme=parts.scheme)
        elif not _NAME.fullmatch(host) or len(host) > 253:
            raise AddressForbiddenError("The URL's host is not a name or an address.")
        return parts

    def _check_dotted(self, host: str, *, scheme: str) -> None:
        try:
            ipaddress.IPv4Address(host)
        except ValueError:
            raise AddressForbiddenError(
                "The URL's host is an address in disguise. Write it as four decimal numbers."
            ) from None
        self.check_address(host, scheme=scheme)
