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
            if line:
                self._take(line)
            elif self._data or self._bare or self._event:
                yield from self._end()

    def close(self) -> Iterator[Message]:
        """What an unfinished end still says. The standard drops it; an error may hide there."""
        last = self._lines.close()
        if last:
            self._take(last)
        yield from self._end()

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name and name not in _FIELDS:  # without a name: a comment, often used as a ping
            self._bare.append(line)

    def _end(self) -> Iterator[Message]:
        if self._data:
            yield Message(self._event, b"\n".join(self._data))
        if self._bare:
            yield Message("", b"\n".join(self._bare), bare=True)
        self._event, self._data, self._bare = "", [], []
