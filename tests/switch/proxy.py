"""A proxy before a Valkey server, in the test's own loop: it can fall silent, and speak TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path


class Proxy:
    """Made by `before`. `silence()`: nothing passes on the connections there are; new ones work."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._generation = 0
        self.port = 0

    def silence(self) -> None:
        self._generation += 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        self._writers |= {writer, back}
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        born = self._generation
        while data := await source.read(65_536):
            if born == self._generation:
                sink.write(data)
                await sink.drain()
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
            server.close()
            for writer in proxy._writers:
                writer.close()
            await server.wait_closed()
            for writer in proxy._writers:
                with contextlib.suppress(OSError, ssl.SSLError):
                    await writer.wait_closed()
