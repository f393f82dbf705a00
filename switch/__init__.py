"""What an application holds: the current primary provider of a route, read from memory.

from switch import Reader
reader = Reader("redis://localhost:6379", routes=["chat"], default={"chat": "anthropic"})
reader.primary("chat")   # "anthropic": a memory read, whatever happens to Redis
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switch.reader import (
        AsyncReader,
        NotReadyError,
        Reader,
        Reading,
        Source,
        UnknownRouteError,
    )

__all__ = ["AsyncReader", "NotReadyError", "Reader", "Reading", "Source", "UnknownRouteError"]


def __getattr__(name: str) -> object:
    # Late, so that whoever needs only the pure parts does not pay for a Redis client.
    if name in __all__:
        from switch import reader

        return getattr(reader, name)
    raise AttributeError(f"module 'switch' has no attribute {name!r}")
