"""How an answer goes over the socket: in time, byte by byte, cut, withheld or reset."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.types import Message, Receive, Scope, Send

if TYPE_CHECKING:
    from prober.emulator.answer import TimedBytes

MAX_SILENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Play:
    """Sends a 200 as `steps` say, until the client goes away.

    Attributes:
        wait_s: before the headers.
        byte_s: after each single byte; 0: each step at once.
        stall: at the end, say nothing more instead of ending the body.
    """

    steps: Iterator[TimedBytes]
    headers: Mapping[str, str]
    wait_s: float = 0.0
    byte_s: float = 0.0
    stall: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _while_connected(self._play(send), receive)

    async def _play(self, send: Send) -> None:
        await asyncio.sleep(self.wait_s)
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for wait_s, data in self.steps:
            # Also for 0 s: an endless answer must leave the others their turn.
            await asyncio.sleep(wait_s)
            await self._say(data, send)
        if self.stall:
            await asyncio.sleep(MAX_SILENCE_S)
        await send(_body(b"", more=False))

    async def _say(self, data: bytes, send: Send) -> None:
        if not self.byte_s:
            await send(_body(data))
            return
        for byte in data:
            await send(_body(bytes([byte])))
            await asyncio.sleep(self.byte_s)


@dataclass(frozen=True, slots=True)
class Hang:
    """Not one byte until the client goes away; after `MAX_SILENCE_S` the connection is dropped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await asyncio.wait_for(_gone(receive), MAX_SILENCE_S)
        except TimeoutError:
            await _abort(scope, receive)


@dataclass(frozen=True, slots=True)
class Reset:
    """A TCP reset instead of an answer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Closing with a linger time of zero sends RST where a plain close sends FIN.
        _transport(scope).get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        await _abort(scope, receive)


def _body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _transport(scope: Scope) -> asyncio.Transport:
    """The connection itself, which the server's protocol leaves in the state."""
    transport: asyncio.Transport = scope["state"]["transport"]
    return transport


async def _abort(scope: Scope, receive: Receive) -> None:
    _transport(scope).abort()
    # The server complains of a handler that ends unanswered on a connection it believes open.
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _while_connected(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    async with asyncio.TaskGroup() as tasks:
        pair = tasks.create_task(work), tasks.create_task(_gone(receive))
        await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        for task in pair:
            task.cancel()
