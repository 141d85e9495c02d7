"""A client that reads HTTP by hand, so that no library smooths over what is on the wire."""

import contextlib
import socket
import struct
from dataclasses import dataclass, field
from typing import Literal

End = Literal["complete", "cut", "reset"]


@dataclass
class Answer:
    """A response as it was on the wire."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    end: End = "cut"
    framing: Literal["length", "chunked", "close", "none"] = "none"
    interim: list[int] = field(default_factory=list)

    def value(self, name: str) -> str | None:
        """The one value of a field; an assertion fails where it stands twice."""
        values = [value for given, value in self.headers if given.lower() == name.lower()]
        assert len(values) < 2, f"{name} stands {len(values)} times"
        return values[0] if values else None


class Exchange:
    """One request, and the answer as far as it is read."""

    def __init__(
        self,
        port: int,
        target: str,
        *fields: str,
        method: str = "GET",
        version: str = "1.1",
        receive_buffer: int = 0,
        seconds: float = 20,
    ) -> None:
        self.method = method
        self.version = version
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(seconds)
        try:
            self.sock.connect(("127.0.0.1", port))
        except OSError:
            self.sock.close()
            raise
        lines = [f"{method} {target} HTTP/{version}", f"Host: 127.0.0.1:{port}", *fields, "", ""]
        self.sock.sendall("\r\n".join(lines).encode("latin-1"))
        self._held = b""
        self.ended_by_reset = False

    def more(self) -> bool:
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionResetError:
            self.ended_by_reset = True
            return False
        self._held += data
        return bool(data)

    def read_head(self) -> Answer:
        while b"\r\n\r\n" not in self._held:
            assert self.more(), "the connection ended within the head"
        raw, _, self._held = self._held.partition(b"\r\n\r\n")
        line, *fields = raw.decode("latin-1").split("\r\n")
        pairs = [field.partition(":") for field in fields]
        headers = [(name, value.strip()) for name, _, value in pairs]
        return Answer(int(line.split(" ")[1]), headers)

    def rest(self) -> bytes:
        """What came with the head, or has been read since."""
        return self._held

    def read(self) -> Answer:
        """The whole answer, however it ends."""
        answer = self.read_head()
        self.read_body(answer)
        return answer

    def read_body(self, answer: Answer) -> None:
        """What follows its head."""
        length, coding = answer.value("content-length"), answer.value("transfer-encoding")
        assert not (length and coding), "a length together with a transfer coding"
        if self.method == "HEAD" or answer.status in {204, 304}:
            answer.end = "complete"
        elif coding:
            answer.framing = "chunked"
            self._read_chunks(answer)
        elif length is not None:
            answer.framing = "length"
            self._read_length(answer, int(length))
        else:
            answer.framing = "close"
            self._read_to_end(answer)
        self.sock.close()

    def _read_chunks(self, answer: Answer) -> None:
        body = []
        while (line := self._line()) is not None:
            size = int(line, 16)
            if size == 0:
                answer.end = "complete" if self._line() == b"" else "cut"
                break
            if not self._hold(size + 2):
                body.append(self._held)
                break
            body.append(self._held[:size])
            assert self._held[size : size + 2] == b"\r\n"
            self._held = self._held[size + 2 :]
        answer.body = b"".join(body)
        self._note_reset(answer)

    def _line(self) -> bytes | None:
        while b"\r\n" not in self._held:
            if not self.more():
                return None
        line, _, self._held = self._held.partition(b"\r\n")
        return line

    def _hold(self, count: int) -> bool:
        pieces, have = [self._held], len(self._held)
        while have < count:
            self._held = b""
            if not self.more():
                self._held = b"".join(pieces)
                return False
            pieces.append(self._held)
            have += len(self._held)
        self._held = b"".join(pieces)
        return True

    def _read_length(self, answer: Answer, length: int) -> None:
        answer.end = "complete" if self._hold(length) else "cut"
        answer.body = self._held[:length]
        assert len(self._held) <= length, "more bytes than announced"
        self._note_reset(answer)

    def _read_to_end(self, answer: Answer) -> None:
        while self.more():
            pass
        answer.body = self._held
        answer.end = "complete"
        self._note_reset(answer)

    def _note_reset(self, answer: Answer) -> None:
        if self.ended_by_reset:
            answer.end = "reset"

    def leave(self) -> None:
        """Goes away in the middle, with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with contextlib.suppress(OSError):
            self.sock.close()
