"""The embedded broker: kombu's folder of messages, which one machine shares and nothing damages.

Kombu's own reads files while they are written and keeps a routing table in a file that two
processes may write at once; either ends a worker, and what was left half-written does so for ever.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem, virtual
from kombu.utils.json import loads

# Seconds until a file that cannot be read is taken for what a killed process has left.
PATIENCE = 10.0


class Channel(filesystem.Channel):
    """A message is a file, and whoever removes it has it."""

    # Each process knows where its messages go, and there is one queue: nothing is to be shared.
    supports_fanout = False
    _delete = virtual.Channel._delete

    def get_table(self, exchange: str) -> Any:
        return virtual.Channel.get_table(self, exchange)

    @property
    def data_folder_in(self) -> str:
        """Made anew where somebody removed it."""
        folder: str = self.transport_options["data_folder_in"]
        Path(folder).mkdir(parents=True, exist_ok=True)
        return folder

    data_folder_out = data_folder_in

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in self._messages(queue):
            try:
                message = loads(path.read_bytes().decode())
                path.unlink()
            except FileNotFoundError:
                continue
            except ValueError:
                self._drop_if_old(path)
                continue
            return message
        raise Empty

    def _messages(self, queue: str) -> Iterator[Path]:
        """Those of a queue, the oldest first."""
        for path in sorted(Path(self.data_folder_in).iterdir()):
            if path.name.partition(".")[2] == f"{queue}.msg":
                yield path

    @staticmethod
    def _drop_if_old(path: Path) -> None:
        """Somebody is writing it, or was killed while doing so."""
        try:
            if time.time() - path.stat().st_mtime > PATIENCE:
                path.unlink()
        except FileNotFoundError:
            pass


class Transport(filesystem.Transport):
    """What `CELERY_BROKER_URL` means by default."""

    Channel = Channel
    # No worker sends to all others.
    implements = virtual.Transport.implements.extend(exchange_type=frozenset({"direct", "topic"}))
