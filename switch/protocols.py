"""The types an application annotates with: what a reader and its stand-in of `testing` both are.

from switch import FlagReader
def answer(prompt: str, reader: FlagReader) -> str: ...
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from switch.cached_flag import Reading
    from switch.flag import Candidate


class FlagView(Protocol):
    """The part that waits for nothing; the same for threads and for asyncio."""

    @property
    def routes(self) -> tuple[str, ...]: ...

    def primary(self, route: str) -> str: ...

    def fallbacks(self, route: str) -> tuple[str, ...]: ...

    def candidates(self, route: str) -> tuple[Candidate, ...]: ...

    def flag(self, route: str) -> Reading: ...

    def report(
        self, provider: str, *, ok: bool, ttft_s: float | None = None, route: str | None = None
    ) -> None: ...


class FlagReader(FlagView, Protocol):
    """`Reader`, or `testing.FakeReader`."""

    def wait_ready(self, seconds: float) -> bool: ...

    def read_once(self) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


class AsyncFlagReader(FlagView, Protocol):
    """`AsyncReader`, or `testing.FakeAsyncReader`."""

    async def wait_ready(self, seconds: float) -> bool: ...

    async def read_once(self) -> None: ...

    def start(self) -> None: ...

    async def close(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...


if TYPE_CHECKING:
    # mypy holds them to it.
    from switch.async_reader import AsyncReader
    from switch.reader import Reader
    from switch.testing import FakeAsyncReader, FakeReader

    _THREADED: tuple[type[FlagReader], ...] = (Reader, FakeReader)
    _ASYNC: tuple[type[AsyncFlagReader], ...] = (AsyncReader, FakeAsyncReader)
