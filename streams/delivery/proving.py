"""Whether what was sent is the file, and how we know.

What is sent is digested on its way. Where the origin announced a checksum of the whole file, its
last bytes are kept back until they are known to fit: what is corrupt never looks complete.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Hashable

from streams.delivery.digests import Digester, Digests, Hasher, Parts, digester
from streams.delivery.fetching import Stream
from streams.delivery.remembered import Remembered, Whole
from streams.models import Proof
from streams.net.errors import BodyError, CorruptError, OriginError, TruncatedError
from streams.net.pace import Pace
from streams.origins import Opened
from streams.wire.checksums import Checksum
from streams.wire.containers import Container

logger = logging.getLogger(__name__)

# By which the bytes of a version are known again.
_SAME = "crc64nvme"


class ProvingSource:
    """A source that knows, once it is read out, what speaks for its being whole."""

    __slots__ = (
        "_announced", "_broken", "_computed", "_container", "_digests", "_end", "_fed", "_hash",
        "_held", "_known", "_lookup", "_remembered", "_source", "_version", "_whole", "parts",
        "proof",
    )  # fmt: skip

    def __init__(
        self,
        source: Stream,
        first: bytes,
        *,
        container: Container | None = None,
        lookup: Awaitable[Checksum | None] | None = None,
        version: Hashable | None = None,
        remembered: Remembered | None = None,
        crc32: bool = False,
    ) -> None:
        """`first` was read already, and is delivered first.

        `container` is what the file is, where its length is not known. `lookup` asks the origin for
        the checksum of the whole file. `version` tells it from every other one, if anything does;
        what is `remembered` of it is not digested again. `crc32` has that computed, too.
        """
        opened = source.opened
        self.proof = Proof.NONE
        self._source = source
        self._container = container
        self._whole = opened.range is None or opened.range.length == opened.total
        self._announced = opened.checksum if self._whole else None
        self._lookup = asyncio.ensure_future(lookup) if lookup and self._whole else None
        if self._lookup is not None:
            # Whether it failed is asked at the end, which may never come.
            self._lookup.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._version = version if self._whole else None
        self._remembered = remembered or Remembered()
        self._known = self._recalled()
        self.parts = self._known.parts if self._known else Parts(_offset(opened))
        self._hash = hashlib.sha256()
        self._computed = self._others()
        if crc32:
            self._computed.setdefault("crc32", digester("crc32"))
        hashers: list[Hasher] = list(self._computed.values())
        if self._known is None:
            hashers += [self._hash, self.parts]
        self._digests = Digests([*hashers, container] if container else hashers)
        self._held = first
        self._end = False
        # Why it cannot go on; told once what was read before is delivered.
        self._broken: BodyError | None = None
        self._fed = 0
        if first:
            self._feed(first)

    def _recalled(self) -> Whole | None:
        known = self._remembered.get(self._version) if self._version else None
        announced = self._announced
        if known and announced and announced.algorithm == "sha256":
            return known if known.sha256 == announced.value else None
        return known

    def _others(self) -> dict[str, Digester]:
        """What must be computed besides SHA-256, to compare it with what is known."""
        names = {_SAME} if self._version else set()
        if self._lookup is not None:
            # Which of them it will be is not known yet; CRCs cost next to nothing.
            names |= {"crc64nvme", "crc32c", "crc32"}
        elif self._announced is not None:
            names |= {self._announced.algorithm} - {"sha256"}
        return {name: digester(name) for name in names}

    @property
    def sha256(self) -> bytes:
        """Of what was sent, once that is read out; empty where it is not known."""
        if self._known is None:
            return self._hash.digest()
        same = self._computed[_SAME].digest() == self._known.crc
        return self._known.sha256 if same else b""

    @property
    def crc32(self) -> int:
        """Of what was sent, once that is read out, where it was to be computed."""
        return int.from_bytes(self._computed["crc32"].digest())

    @property
    def opened(self) -> Opened:
        return self._source.opened

    @property
    def resumes(self) -> int:
        return self._source.resumes

    async def read(self) -> bytes:
        """The next bytes, empty at the end, whose proof then stands in `proof`.

        Raises `BodyError`, also at the end of what is not whole.
        """
        if self._broken is not None:
            raise self._broken
        while not self._end and (self._withholds or not self._held):
            try:
                chunk = await self._source.read()
            except BodyError as exc:
                self._break(exc)
                break
            if not chunk:
                await self._prove()
                self._end = True
                break
            self._feed(chunk)
            await self._digests.room()
            ready, self._held = self._held, chunk
            if ready:
                return ready
        ready, self._held = self._held, b""
        return ready

    def _break(self, exc: BodyError) -> None:
        """What is held is still delivered; but not where the file would look whole with it."""
        if not self._held or self._fed == self.opened.length:
            raise exc
        self._broken = exc

    def _feed(self, chunk: bytes) -> None:
        self._digests.feed(chunk)
        self._fed += len(chunk)

    @property
    def _withholds(self) -> bool:
        """Whether what is held may be the last there is, and must fit first.

        A client that knows the length leaves with the last byte: what there is to prove must be
        proven by then.
        """
        if self._announced is not None or self._lookup is not None:
            return True
        return self._fed == self.opened.length

    async def _prove(self) -> None:
        await self._digests.finish()
        opened = self.opened
        if self._whole or (opened.range and opened.range.last + 1 == opened.total):
            self.parts.end()
        if not await self._fits_checksum():
            self._prove_otherwise(opened)
        if self._version:
            self._remember(self._version)

    def _prove_otherwise(self, opened: Opened) -> None:
        if opened.length is not None:
            self.proof = Proof.LENGTH
        elif opened.says_when_complete:
            self.proof = Proof.SOURCE
        elif self._container is not None:
            self._look_at_end(self._container)

    def _remember(self, version: Hashable) -> None:
        if self._known is None:
            crc = self._computed[_SAME].digest()
            self._remembered.put(version, Whole(self.sha256, crc, self.parts))
        elif not self.sha256:
            # Other bytes under the same tag: which of them are right, nobody can tell here.
            logger.warning("version_differs", extra={"etag": self.opened.etag})
            self._remembered.drop(version)
            self.parts = Parts(0)

    async def _fits_checksum(self) -> bool:
        """Whether there is a checksum to fit. Raises `CorruptError` where it does not."""
        announced = self._announced
        if self._lookup is not None:
            with contextlib.suppress(OriginError):
                announced = await self._lookup
        if announced is None:
            return False
        if announced.algorithm == "sha256":
            found = self.sha256
        elif computer := self._computed.get(announced.algorithm):
            found = computer.digest()
        else:
            return False
        if found != announced.value:
            self._remembered.drop(self._version)
            raise CorruptError(f"its {announced.algorithm} is another than the origin announced")
        self.proof = Proof(announced.algorithm)
        return True

    def _look_at_end(self, container: Container) -> None:
        ended = container.ended()
        if ended:
            self.proof = Proof(container.name)
        elif ended is False and container.certain:
            raise TruncatedError(f"the {container.name} file has no end")

    def fail(self, exc: BodyError) -> None:
        self._source.fail(exc)

    def set_pace(self, pace: Pace) -> None:
        self._source.set_pace(pace)

    def abort(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()
        self._source.abort()


def _offset(opened: Opened) -> int:
    return opened.range.first if opened.range else 0
