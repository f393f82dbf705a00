"""A daemon that kills itself at a named point: `python crashing.py CONFIG POINT`.

The points are the seams of a flip: each is struck after the step it is named for.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from prober.alerts.outbox import Outbox
from prober.daemon import Daemon
from prober.journal import Journal
from switch.flag import Op
from switch.writer import Writer

POINTS = ("intent", "script", "done", "incident", "alert", "delivery")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Makes the step `point`, of an automatic flip, the last thing this process does."""
    append, flip, attempt = Journal.append, Writer.flip, Outbox._try

    async def appending(self: Journal, kind: str, **fields: Any) -> None:
        await append(self, kind, **fields)
        of_flip = fields.get("op") == Op.AUTO.value or fields.get("event") == "failed_over"
        if kind == point and (of_flip or kind == "incident"):
            die()

    async def flipping(self: Writer, keys: Any, request: Any, **more: Any) -> Any:
        answer = await flip(self, keys, request, **more)
        if point == "script" and request.op is Op.AUTO:
            die()
        return answer

    async def attempting(self: Outbox, item: Any) -> str:
        failure = await attempt(self, item)
        if point == "delivery" and item.event.kind == "failed_over" and not failure:
            die()
        return failure

    Journal.append = appending  # type: ignore[method-assign]
    Writer.flip = flipping  # type: ignore[method-assign]
    Outbox._try = attempting  # type: ignore[method-assign]


if __name__ == "__main__":
    arm(sys.argv[2])
    asyncio.run(Daemon(Path(sys.argv[1])).run())
