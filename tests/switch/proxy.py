"""A proxy before a Valkey server, in the test's own loop: it can fall silent, for good or for a
while, and speak TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path


class Proxy:
    """Made by `before`. No connection is ever closed by it.

    `silence()`: nothing passes on the connections there are, ever; new ones work. `hold()`:
    nothing passes on any, or no answers, until `heal()`; what was sent meanwhile arrives then.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._generation = 0
        self._there, self._back = asyncio.Event(), asyncio.Event()
        self.heal()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def silence(self) -> None:
        self._generation += 1

    def hold(self, *, answers_only: bool = False) -> None:
        self._back.clear()
        if not answers_only:
            self._there.clear()

    def heal(self) -> None:
        self._there.set()
        self._back.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, back}
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._pump(reader, back, self._there), self._pump(there, writer, self._back)
            )

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, open: asyncio.Event
    ) -> None:
        born = self._generation
        while data := await source.read(65_536):
            await open.wait()
            if born == self._generation:
                sink.write(data)
                await sink.drain()
        await open.wait()
        if born == self._generation:
            sink.close()

    @classmethod
    @contextlib.asynccontextmanager
    async def before(cls, target: Path, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
        proxy = cls(target)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0, ssl=tls)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            proxy.heal()
            server.close()
            for writer in proxy._writers:
                writer.close()
            await server.wait_closed()
            for writer in proxy._writers:
                with contextlib.suppress(OSError, ssl.SSLError):
                    await writer.wait_closed()
