"""A request that nobody has answered is sent once more, on a fresh connection.

That is no retry of a canary: curl and browsers do it too (RFC 9110 9.2.2 and RFC 9113 8.7), for a
kept connection may have been closed while nobody looked, and a server that is leaving says which
requests it has not touched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from prober.probing.httpx_seam import closed_before_answer, refused_untouched

TraceHook = Callable[[str, dict[str, Any]], Awaitable[None]]


class Again(httpx.AsyncBaseTransport):
    """Another transport's requests, and once more over one that keeps no connection.

    Args:
        fresh: makes that one, when it is first needed.
    """

    def __init__(
        self, kept: httpx.AsyncBaseTransport, fresh: Callable[[], httpx.AsyncBaseTransport]
    ) -> None:
        self._kept = kept
        self._make = fresh
        self._fresh: httpx.AsyncBaseTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seen = _ConnectionTrace(request.extensions.get("trace"))
        request.extensions = {**request.extensions, "trace": seen}
        try:
            return await self._kept.handle_async_request(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
            if not (
                refused_untouched(error) or (not seen.connected and closed_before_answer(error))
            ):
                raise
        if self._fresh is None:
            self._fresh = self._make()
        return await self._fresh.handle_async_request(request)

    async def aclose(self) -> None:
        await self._kept.aclose()
        if self._fresh is not None:
            await self._fresh.aclose()


class _ConnectionTrace:
    """Whether a connection was opened; hands everything on to the request's own trace."""

    def __init__(self, inner: TraceHook | None) -> None:
        self._inner = inner
        self.connected = False

    async def __call__(self, name: str, info: dict[str, Any]) -> None:
        if name.startswith("connection."):
            self.connected = True
        if self._inner is not None:
            await self._inner(name, info)
