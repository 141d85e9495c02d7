"""Many clients that read slowly, in one process: `python -m bench.slow`, steered by its input.

Reads one line of JSON (port, request, count) and starts; prints one line of JSON a second: how many
have had body bytes, how many were refused with which status, how many lost their connection.
"""

import json
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

RATE = 8 * 1024  # bytes a second for each client
RECEIVE_BUFFER = 64 * 1024
SLICES = 20  # a second is cut into, so that the reads are spread over it


@dataclass
class SlowClient:
    """One connection; `outcome` is empty until there is something to say."""

    sock: socket.socket
    outcome: str = ""
    _begun: bytearray = field(default_factory=bytearray)

    def read(self) -> None:
        """Takes one second's share of what is there."""
        try:
            data = self.sock.recv(RATE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.outcome = self.outcome if self.outcome.startswith("refused") else "lost"
            self.sock.close()
        elif not self.outcome:
            self._begun += data
            self._judge()

    def _judge(self) -> None:
        head, end, body = bytes(self._begun).partition(b"\r\n\r\n")
        if not end:
            return
        status = head.split(b" ")[1].decode()
        if status != "200":
            self.outcome = f"refused with {status}"
        elif body:
            self.outcome = "served"

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to read from."""
        return self.sock.fileno() < 0


def _connect(port: int, request: bytes) -> SlowClient:
    sock = socket.socket()
    # Before connecting: the window is agreed upon there.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    client = SlowClient(sock)
    try:
        sock.settimeout(20)
        sock.connect(("127.0.0.1", port))
        sock.sendall(request)
        sock.setblocking(False)
    except OSError:
        client.outcome = "lost"
        sock.close()
    return client


def _run(port: int, request: bytes, count: int) -> None:
    clients = [_connect(port, request) for _ in range(count)]
    while True:
        for part in range(SLICES):
            due = time.monotonic() + 1 / SLICES
            for client in clients[part::SLICES]:
                if not client.gone:
                    client.read()
            time.sleep(max(0.0, due - time.monotonic()))
        print(json.dumps(Counter(c.outcome for c in clients if c.outcome)), flush=True)


if __name__ == "__main__":
    order = json.loads(sys.stdin.readline())
    _run(order["port"], order["request"].encode(), order["count"])
