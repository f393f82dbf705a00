"""A server of a few lines that answers with the bytes a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Play = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def plain(*pieces: bytes, status: str = "200 OK", headers: str = "") -> Play:
    """An answer in pieces, then the connection is closed."""

    async def play(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status}\r\ncontent-type: text/event-stream\r\n{headers}\r\n"
        for piece in (head.encode(), *pieces):
            writer.write(piece)
            await writer.drain()

    return play


def silent_after(*pieces: bytes, status: str = "200 OK", headers: str = "") -> Play:
    """The same, and then nothing more on an open connection."""

    async def play(writer: asyncio.StreamWriter) -> None:
        await plain(*pieces, status=status, headers=headers)(writer)
        await asyncio.Event().wait()

    return play


@asynccontextmanager
async def answering(play: Play) -> AsyncIterator[RawServer]:
    """Reads one request for each connection, then plays."""
    server = RawServer(0)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            server.requests.append(await reader.readuntil(b"\r\n\r\n"))
            await play(writer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
