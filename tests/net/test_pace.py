"""What a client's socket is told of how much may wait for it."""

import asyncio
import socket

import uvloop

from streams.net.pace import NARROW, WIDE


def test_a_client_that_has_left_is_no_error() -> None:
    async def leave() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            client = transport.get_extra_info("socket")
            transport.close()
            await asyncio.sleep(0.05)

            WIDE.apply_to_client(client)
            NARROW.apply_to_client(client)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(leave())
