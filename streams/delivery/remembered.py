"""Digests of versions that this process has sent before.

SHA-256 costs as much as all the rest of a download. A version that is known by its entity tag is
digested once; later a CRC-64, which costs next to nothing, tells whether the same bytes went out.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from streams.delivery.digests import Parts

MOST = 256


@dataclass(frozen=True)
class Whole:
    """A whole file: SHA-256 of it and of its parts, and the CRC-64/NVME to know it again by."""

    sha256: bytes
    crc: bytes
    parts: Parts


class Remembered:
    """The versions that were sent last."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: OrderedDict[Hashable, Whole] = OrderedDict()

    def get(self, version: Hashable) -> Whole | None:
        """What is known of a version, which thereby becomes the last one to be forgotten."""
        whole = self._held.get(version)
        if whole is not None:
            self._held.move_to_end(version)
        return whole

    def put(self, version: Hashable, whole: Whole) -> None:
        self._held[version] = whole
        self._held.move_to_end(version)
        if len(self._held) > self._most:
            self._held.popitem(last=False)

    def drop(self, version: Hashable) -> None:
        """Forgets what has turned out to be different."""
        self._held.pop(version, None)
