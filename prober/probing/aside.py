"""Foreign code that blocks, in a thread of its own that nobody waits for, not even at the end.

asyncio's own threads are few, name resolution needs them too, and a program that ends joins them:
one service that hangs would hold up every canary, and then the exit.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Runs `work` at most once at a time; whoever asks meanwhile gets what that run gives.

    `await` it to get the result, or what `work` raised. Who gives up waiting stops nothing.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._name = name
        self._flight: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        loop, flight = asyncio.get_running_loop(), self._flight
        if flight is None or flight.done() or flight.get_loop() is not loop:
            flight = self._flight = loop.create_future()
            # All who waited may have gone when it fails.
            flight.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            thread = threading.Thread(
                target=self._run, args=(flight,), name=self._name, daemon=True
            )
            thread.start()
        return await asyncio.shield(flight)

    def _run(self, flight: asyncio.Future[T]) -> None:
        try:
            result = self._work()
        except Exception as error:
            self._land(flight, flight.set_exception, error)
        else:
            self._land(flight, flight.set_result, result)

    def _land(self, flight: asyncio.Future[T], land: Callable[..., None], result: object) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            flight.get_loop().call_soon_threadsafe(land, result)
