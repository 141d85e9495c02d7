"""A client that leaves before the first byte of its download is on its way."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import uuid4

import pytest

from streams.delivery import downloads, engine
from streams.delivery.conditions import Asked
from streams.delivery.database import in_database_thread
from streams.delivery.downloads import Permitted
from streams.delivery.relay import Provable
from streams.models import Download, Endpoint
from tests.delivery.test_relay import Source

pytestmark = pytest.mark.django_db(transaction=True)

Permits = Callable[[], Permitted | Sequence[Permitted]]


def permitted() -> Permitted:
    asked = Asked("", None, None, None, None, head_only=False)
    record = Download.objects.create(slug="orders", username="ann", bundle=uuid4())
    return Permitted(asked, Endpoint(slug="orders"), (), record)


def _ends() -> set[tuple[str, str]]:
    return set(Download.objects.values_list("state", "reason"))


@pytest.mark.parametrize("permits", [permitted, lambda: [permitted(), permitted()]])
async def test_its_record_says_that_the_client_left_and_holds_no_place(permits: Permits) -> None:
    begun, left = threading.Event(), threading.Event()

    def slow() -> Permitted | Sequence[Permitted]:
        begun.set()
        assert left.wait(5)
        return permits()

    asking = asyncio.create_task(downloads.patiently(slow))
    await asyncio.to_thread(begun.wait, 5)
    asking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asking
    left.set()

    ended: set[tuple[str, str]] = {("running", "")}
    async with asyncio.timeout(5):
        while not ended or ("running", "") in ended:
            await asyncio.sleep(0.02)
            ended = await in_database_thread(_ends)()
    await engine.shut_down()
    assert ended == {("cancelled", "client_left")}


async def test_an_answer_that_is_never_begun_ends_with_its_request() -> None:
    record = await in_database_thread(Download.objects.create)(slug="orders", username="ann")
    source = Source()

    async def request() -> None:
        held = cast(Provable, cast(Any, source))
        engine.current().relay(held, record, Endpoint(slug="orders"), None)

    await asyncio.create_task(request())
    await asyncio.sleep(0)

    assert (record.state, record.reason) == ("cancelled", "client_left")
    assert not source.pieces, "it holds the origin"
    await engine.shut_down()
