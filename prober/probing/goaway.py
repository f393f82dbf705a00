"""HTTP/2's graceful goodbye, as RFC 9113 (6.8, 8.7) means it.

A server that is about to leave says GOAWAY(NO_ERROR) with the last request that it will still
answer. h2 takes any GOAWAY for the end of the connection (python-hyper/h2#1181), so a good answer
that a proxy or a load balancer lets finish looked broken. Here such a frame is kept from h2 while
covered requests run; those that it does not cover are refused one by one, and may be tried again.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import anyio
import httpcore

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = 9
_DATA, _HEADERS, _RST_STREAM, _GOAWAY = 0, 1, 3, 7
_END_STREAM = 1
_REFUSED_STREAM = 7
_LAST_ID = 2**31 - 1
# A goodbye carries eight bytes, and maybe a word.
_MOST = 4_096


class Graceful(httpcore.AsyncNetworkBackend):
    """Another backend, whose HTTP/2 connections may say goodbye."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Plain(
            await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Plain(httpcore.AsyncNetworkStream):
    """Hands everything on, until TLS has settled what is spoken."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        tls = stream.get_extra_info("ssl_object")
        h2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        return _Http2(stream) if h2 else _Plain(stream)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Http2(_Plain):
    """Keeps a graceful goodbye from the reader for as long as a request that it covers runs."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        super().__init__(inner)
        self._frames = Frames()
        self._reading: anyio.CancelScope | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        while not (ready := self._frames.ready()):
            with anyio.CancelScope() as self._reading:
                data = await self._inner.read(max_bytes, timeout)
                if not data:
                    return b""
                self._frames.received(data)
        return ready

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # One request more on a connection that takes none: its reader must learn of it now.
        if self._frames.sent(buffer) and self._reading is not None:
            self._reading.cancel()
        await self._inner.write(buffer, timeout)


class Frames:
    """What a connection's reader is to see, of what came. Pure.

    Requests are known by what is written, answers by what is received.
    """

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._asked: set[int] = set()  # of these, the requests that are sent to their end
        self._came = bytearray()
        self._passing = 0  # bytes of the frame under way that are still to come
        self._ends = 0  # the request whose answer that frame ends
        self._out = bytearray()
        self._last: int | None = None  # the last request that is answered
        self._goodbye = b""

    def sent(self, data: bytes) -> bool:
        """Takes whole frames that are written. True: a request that will not be answered."""
        at = len(_PREFACE) if data.startswith(_PREFACE) else 0
        refused = False
        while at + _HEAD <= len(data):
            size, kind, flags, stream = _head(data, at)
            if kind == _HEADERS:
                self._open.add(stream)
            if kind in (_DATA, _HEADERS) and flags & _END_STREAM:
                self._asked.add(stream)
                refused = self._refuse() or refused
            elif kind == _RST_STREAM:
                self._open.discard(stream)
            at += _HEAD + size
        return refused

    def received(self, data: bytes) -> None:
        came = self._came
        came += data
        at = 0
        while at < len(came):
            if self._passing:
                count = min(self._passing, len(came) - at)
                self._out += came[at : at + count]
                at, self._passing = at + count, self._passing - count
                if not self._passing and self._ends:
                    self._open.discard(self._ends)
                    self._asked.discard(self._ends)
                    self._ends = 0
                continue
            if len(came) - at < _HEAD:
                break
            size, kind, flags, stream = _head(came, at)
            if kind == _GOAWAY and 8 <= size <= _MOST:
                if len(came) - at < _HEAD + size:
                    break
                self._leave(bytes(came[at : at + _HEAD + size]))
                at += _HEAD + size
                continue
            ended = kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and flags & _END_STREAM)
            self._passing, self._ends = _HEAD + size, stream if ended else 0
        del came[:at]

    def ready(self) -> bytes:
        """What can be read now; a goodbye when nobody waits for an answer any more."""
        if not self._open:
            self._out += self._goodbye
            self._goodbye = b""
        ready = bytes(self._out)
        self._out.clear()
        return ready

    def _leave(self, frame: bytes) -> None:
        last, code = (int.from_bytes(frame[at : at + 4]) for at in (_HEAD, _HEAD + 4))
        if code != 0:
            self._out += frame  # no grace
            return
        last &= _LAST_ID
        self._last = last if self._last is None else min(self._last, last)
        self._goodbye = frame
        self._refuse()

    def _refuse(self) -> bool:
        """Ends the requests that will not be answered, as the server would if it were kind."""
        if self._last is None:
            return False
        # h2 takes an end amid a request for a mistake of ours.
        refused = {stream for stream in self._open & self._asked if stream > self._last}
        for stream in sorted(refused):
            self._out += _frame(_RST_STREAM, stream, _REFUSED_STREAM.to_bytes(4))
        self._open -= refused
        return bool(refused)


def _head(data: bytes | bytearray, at: int) -> tuple[int, int, int, int]:
    """(size, kind, flags, stream) of the frame that begins there."""
    stream = int.from_bytes(data[at + 5 : at + 9]) & _LAST_ID
    return int.from_bytes(data[at : at + 3]), data[at + 3], data[at + 4], stream


def _frame(kind: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, 0]) + stream.to_bytes(4) + payload
