"""What an application holds: the current primary provider of a route, read from memory.

from switch import Reader
reader = Reader("redis://localhost:6379", routes=["chat"], default={"chat": "anthropic"})
reader.primary("chat")   # "anthropic": a memory read, whatever happens to Redis
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switch.async_reader import AsyncReader
    from switch.cached_flag import Reading, Source
    from switch.flag import Candidate
    from switch.flag_cache import NotReadyError, UnknownRouteError
    from switch.protocols import AsyncFlagReader, FlagReader, FlagView
    from switch.reader import Reader

__all__ = [
    "AsyncFlagReader",
    "AsyncReader",
    "Candidate",
    "FlagReader",
    "FlagView",
    "NotReadyError",
    "Reader",
    "Reading",
    "Source",
    "UnknownRouteError",
]

_WHERE = {
    "AsyncFlagReader": "protocols",
    "AsyncReader": "async_reader",
    "Candidate": "flag",
    "FlagReader": "protocols",
    "FlagView": "protocols",
    "NotReadyError": "flag_cache",
    "Reader": "reader",
    "Reading": "cached_flag",
    "Source": "cached_flag",
    "UnknownRouteError": "flag_cache",
}


def __getattr__(name: str) -> object:
    # Late, so that whoever needs only the pure parts does not pay for a Redis client.
    if name in _WHERE:
        return getattr(import_module(f"switch.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'switch' has no attribute {name!r}")
