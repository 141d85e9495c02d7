"""What stands between the portal and AWS: passes every byte on, and cuts where it is told."""

import contextlib
import socket
import struct
import threading
from urllib.parse import urlsplit


class Wire:
    """A TCP proxy. `cut_after` counts the bytes of all answers together, from that moment on."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname, parts.port)
        self._lock = threading.Lock()
        self._passed = 0
        self._cuts: list[int] = []
        self._flip: int | None = None
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, *sizes: int) -> None:
        """Resets the connection whose answer crosses one of these counts of bytes."""
        with self._lock:
            self._cuts = sorted(self._passed + size for size in sizes)
            self.requests.clear()

    def flip_after(self, size: int) -> None:
        """Changes one byte of what is passed on, after so many of them."""
        with self._lock:
            self._cuts.clear()
            self._flip = self._passed + size

    def rerouted(self, url: str) -> str:
        """`url` of the sandbox, by way of this."""
        return f"http://{self.address}{url[len('http://') + len(urlsplit(url).netloc) :]}"

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(here,), daemon=True).start()

    def _pass(self, here: socket.socket) -> None:
        with here, socket.create_connection(self._upstream) as there:
            for sock in (here, there):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answering = threading.Thread(target=self._answer, args=(there, here), daemon=True)
            answering.start()
            self._ask(here, there)
            answering.join()

    def _ask(self, here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65536):
                line = data.split(b"\r\n", 1)[0]
                if line.endswith(b" HTTP/1.1"):
                    self.requests.append(line.decode("latin-1"))
                there.sendall(data)
        _end(there)

    def _answer(self, there: socket.socket, here: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := there.recv(65536):
                data = self._flipped(data)
                left = self._until_cut(len(data))
                here.sendall(data[:left])
                if left < len(data):
                    # Wakes the other thread, which closes: with this option, by a reset.
                    here.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    here.shutdown(socket.SHUT_RD)
                    return
        _end(here)

    def _flipped(self, data: bytes) -> bytes:
        with self._lock:
            if self._flip is None or not 0 <= self._flip - self._passed < len(data):
                return data
            at, self._flip = self._flip - self._passed, None
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    def _until_cut(self, size: int) -> int:
        """How many of the next `size` bytes may pass on this connection."""
        with self._lock:
            start = self._passed
            if self._cuts and self._cuts[0] < start + size:
                size = max(self._cuts.pop(0) - start, 0)
            self._passed += size
            return size


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
