"""Server-Sent Events (WHATWG HTML, section 9.2), as far as LLM APIs use them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prober.providers.base import Lines


@dataclass(frozen=True, slots=True)
class Message:
    """One event. `bare` is set for lines that are no SSE at all: some APIs report errors so."""

    event: str
    data: bytes
    bare: bool = False


_FIELDS = (b"data", b"event", b"id", b"retry")


class Messages:
    """Bytes in, messages out, split anywhere."""

    __slots__ = ("_bare", "_data", "_event", "_lines")

    def __init__(self) -> None:
        self._lines = Lines()
        self._event = ""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Message]:
        for line in self._lines.feed(data):
            yield from self._line(line)

    def close(self) -> Iterator[Message]:
        """What an unfinished end still says. The standard drops it; an error may hide there."""
        last = self._lines.close()
        if last:
            yield from self._line(last)
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[Message]:
        if not line:
            if self._data:
                yield Message(self._event, b"\n".join(self._data))
            if self._bare:
                yield Message("", b"\n".join(self._bare), bare=True)
            self._event, self._data, self._bare = "", [], []
            return
        name, _, value = line.partition(b":")
        if not name:
            return  # a comment, often used as a ping
        if name not in _FIELDS:
            self._bare.append(line)
            return
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
