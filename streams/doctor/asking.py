"""Asks origins as a download would, and as those would who must be refused: many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from streams.access.addresses import address_policy
from streams.aws.account import Account
from streams.delivery.downloads import credentials_of, target_of
from streams.doctor import objects, sampling
from streams.doctor.checks.bodies import is_slow
from streams.doctor.checks.endpoints import EMPTY, WITHOUT, WRONG
from streams.doctor.facts import LATE, Answer, ObjectFacts, Unread
from streams.models import Endpoint, Kind
from streams.models.fields import UndecryptableError
from streams.net import errors
from streams.net.client import Client
from streams.origins import Credential, S3Origin, Target, Wanted, build
from streams.rotation.probing import Verdict, nonsense
from streams.wire.ranges import Asked

T = TypeVar("T")

# Origins that are asked at a time.
AT_ONCE = 8
_FIRST_BYTE = Wanted(range=Asked(0, 0))
_WHOLE = Wanted()
# What makes its file itself, perhaps all of it before it sends the first byte.
_MAKERS = frozenset({Kind.FUNCTION_URL, Kind.LAMBDA, Kind.GATEWAY, Kind.HTTP})
_PASSING = (
    errors.BusyError,
    errors.BusyServerError,
    errors.FunctionError,
    errors.OriginTimeoutError,
)


@dataclass(frozen=True)
class Case:
    """One endpoint to be asked. `credential` says why where the value cannot be decrypted, and
    `header` is what strangers would have to send; empty: there is no secret.

    Those with the same `turn` are asked one after the other: asked at once, a function starts an
    environment for each request.
    """

    slug: str
    target: Target
    credential: Credential | Unread | None
    header: str
    turn: str


@dataclass(frozen=True)
class Answers:
    """`wrong` is what becomes of those who do not know the secret, None where there is none."""

    right: Answer | Unread
    wrong: Mapping[str, Verdict] | Unread | None = None
    object: ObjectFacts | Unread | None = None


_Tasks = set[asyncio.Task[tuple[str, Answers]]]


def answers_of(
    endpoints: list[Endpoint], account: Account, *, deadline: float, say: Callable[[str], None]
) -> dict[str, Answers]:
    """What each origin answers, by slug. `deadline` is one of `time.monotonic`."""
    return dict(_asked([_case(one) for one in endpoints], account, deadline, say))


def hindered(endpoint: Endpoint, why: Unread) -> Answers:
    """The same of an export that this portal cannot sign for."""
    error = errors.AwsCredentialsError
    return Answers(
        right=Answer(error.code, why.reason, error.hint or ""),
        wrong=why if endpoint.secret else None,
        object=why if endpoint.kind == Kind.S3 else None,
    )


def _case(endpoint: Endpoint) -> Case:
    secret = endpoint.secret
    return Case(
        endpoint.slug,
        target_of(endpoint),
        _credential(endpoint),
        header=secret.header if secret else "",
        turn=f"secret {secret.pk}" if secret else endpoint.url or endpoint.function,
    )


def _credential(endpoint: Endpoint) -> Credential | Unread | None:
    try:
        return next(iter(credentials_of(endpoint)), None)
    except UndecryptableError as exc:
        return Unread(str(exc))


def _asked(
    cases: list[Case], account: Account, deadline: float, say: Callable[[str], None]
) -> Iterator[tuple[str, Answers]]:
    """`say` hears of each case before it is asked, outside of the event loop: it may use the
    database.
    """
    with asyncio.Runner() as runner:
        asker = runner.run(_asker(account, deadline))
        pending: _Tasks = set()
        try:
            for number, case in enumerate(cases, start=1):
                if len(pending) == AT_ONCE:
                    done, pending = runner.run(_some(pending))
                    yield from (task.result() for task in done)
                say(f"endpoint {case.slug} ({number} of {len(cases)})")
                pending.add(runner.get_loop().create_task(asker.ask(case)))
            while pending:
                done, pending = runner.run(_some(pending))
                yield from (task.result() for task in done)
        finally:
            runner.run(asker.client.close())


async def _some(pending: _Tasks) -> tuple[_Tasks, _Tasks]:
    return await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)


async def _asker(account: Account, deadline: float) -> "_Asker":
    # A client belongs to the event loop in which it is made.
    return _Asker(Client(address_policy(), head_timeout=sampling.PATIENCE), account, deadline)


@dataclass
class _Asker:
    client: Client
    account: Account
    deadline: float
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def ask(self, case: Case) -> tuple[str, Answers]:
        if not case.turn:
            return case.slug, await self._answers(case)
        async with self._turns.setdefault(case.turn, asyncio.Lock()):
            return case.slug, await self._answers(case)

    async def _answers(self, case: Case) -> Answers:
        right = await self._in_time(lambda: self._right(case))
        wrong = await self._in_time(lambda: self._wrong(case)) if case.header else None
        if isinstance(right, Answer) and is_slow(right.sample):
            right = await self._again(case, right, wrong)
        if case.target.kind != Kind.S3:
            return Answers(right, wrong)
        return Answers(right, wrong, await self._in_time(lambda: self._object(case)))

    async def _right(self, case: Case) -> Answer | Unread:
        """What a download meets."""
        target, credential = case.target, case.credential
        if isinstance(credential, Unread):
            return credential
        # What comes gzipped has no ranges, and a part of it may come otherwise than the whole.
        wanted = _WHOLE if target.keep_gzip else _FIRST_BYTE
        answer = await self._answer(target, credential, wanted)
        if answer.code == errors.RangeError.code:
            # An empty file has no first byte.
            return await self._answer(target, credential, _WHOLE)
        # As a download does: what is gone a moment later is no fault.
        return await self._answer(target, credential, wanted) if answer.passing else answer

    async def _again(
        self, case: Case, slow: Answer, wrong: Mapping[str, Verdict] | Unread | None
    ) -> Answer:
        """The same with a second sample, that is not about how long a function takes to start.

        The function is still busy with the first one, though nobody reads that: this meets another
        environment of it. Whoever was refused has started that one.
        """
        assert slow.sample
        unsure = replace(slow, sample=replace(slow.sample, warm=False))
        started = isinstance(wrong, Mapping) and Verdict.REFUSED in wrong.values()
        if case.target.kind != Kind.HTTP and not started:
            return unsure
        again = await self._in_time(lambda: self._right(case))
        if isinstance(again, Unread) or again.sample is None:
            return unsure
        return replace(slow, sample=min(slow.sample, again.sample, key=lambda one: one.first))

    async def _wrong(self, case: Case) -> Mapping[str, Verdict]:
        presented = {
            WITHOUT: None,
            EMPTY: Credential(case.header, ""),
            WRONG: Credential(case.header, nonsense()),
        }
        # One after the other, for the same reason.
        return {
            how: verdict(await self._answer(case.target, credential, _FIRST_BYTE))
            for how, credential in presented.items()
        }

    async def _object(self, case: Case) -> ObjectFacts | Unread:
        origin = S3Origin(self.client, self.account, case.target)
        try:
            async with asyncio.timeout(sampling.PATIENCE):
                return await objects.told(origin)
        except errors.OriginError as exc:
            return Unread(str(exc))
        except TimeoutError:
            return Unread("S3 did not answer in time.")

    async def _answer(
        self, target: Target, credential: Credential | None, wanted: Wanted
    ) -> Answer:
        origin = build(self.client, self.account, target)
        # An object that a function names is there already.
        sampled = target.kind in _MAKERS and not target.follows
        try:
            found = await sampling.beginning(origin, wanted, credential, sampled=sampled)
        except errors.OriginError as exc:
            return _answer_of(exc)
        except errors.BodyError:
            return _answer_of(errors.BrokenError())
        except TimeoutError:
            return _answer_of(errors.OriginTimeoutError())
        opened = found.opened
        return Answer(
            part=opened.range is not None,
            etag=opened.etag,
            size=opened.total,
            sample=found.sample,
            coding=opened.headers.get("Content-Encoding", ""),
            gzipped=opened.gzipped,
            looks_gzipped=found.looks_gzipped,
        )

    async def _in_time(self, ask: Callable[[], Awaitable[T]]) -> T | Unread:
        if asyncio.get_running_loop().time() > self.deadline:
            return LATE
        try:
            async with asyncio.timeout_at(self.deadline):
                return await ask()
        except TimeoutError:
            return LATE


def _answer_of(exc: errors.OriginError) -> Answer:
    return Answer(
        exc.code,
        str(exc),
        exc.hint,
        isinstance(exc, _PASSING),
        aws_code=exc.aws_code if isinstance(exc, errors.AwsDeniedError) else "",
        leads_to=exc.place if isinstance(exc, errors.RedirectError) else "",
    )


def verdict(answer: Answer) -> Verdict:
    """Accepted is only who got bytes: an error may be its own way to refuse, or a fault."""
    if answer.code == errors.ForbiddenError.code:
        return Verdict.REFUSED
    # 416: the one byte that was asked for is not there, in an empty file.
    return Verdict.ACCEPTED if answer.code in {"", errors.RangeError.code} else Verdict.UNSURE
