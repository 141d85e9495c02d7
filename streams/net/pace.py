"""How much is read ahead, here and in the kernel: little for a slow client, more for a fast one.

A client that keeps up needs large pieces, or each costs a change between processes. A thousand that
do not must each cost as little as possible: what waits for them waits in memory.
"""

import contextlib
import socket
from dataclasses import dataclass
from typing import Protocol

# The kernel's buffer towards an origin. Set before it connects: a later change would drop what is
# on its way. Its own tuning would let megabytes wait there for each client that does not read.
RECEIVED = 256 * 1024


class Socket(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


@dataclass(frozen=True)
class Pace:
    """In bytes: `reads` are buffered from the origin before reading pauses (twice that at most),
    and `unsent` may wait in the kernel for the client.
    """

    reads: int
    unsent: int

    def apply_to_client(self, sock: Socket) -> None:
        # A client that has left has no socket any more: uvloop says so by a `ValueError`.
        with contextlib.suppress(OSError, ValueError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, self.unsent)


NARROW = Pace(reads=16 * 1024, unsent=64 * 1024)
WIDE = Pace(reads=1024 * 1024, unsent=1024 * 1024)
