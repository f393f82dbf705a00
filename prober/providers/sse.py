"""Server-Sent Events (WHATWG HTML, section 9.2), as far as LLM APIs use them. Pure."""

from __future__ import annotations

from typing import NamedTuple

from prober.providers.events import MAX_LINE_BYTES, Lines, TooLargeError


class Message(NamedTuple):
    """One event. `bare` is set for lines that are no SSE at all: some APIs report errors so."""

    event: str
    data: bytes
    bare: bool = False


# The standard drops it before the first line; nobody means it elsewhere.
BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data", b"event", b"id", b"retry")


def _complete(line: bytes) -> bool:
    """A message by itself: servers that end each by one line end only, and not by an empty line."""
    return (line.startswith(b"{") and line.rstrip().endswith(b"}")) or line.strip() == b"[DONE]"


class Messages:
    """Bytes in, messages out, split anywhere."""

    __slots__ = ("_bare", "_data", "_event", "_held", "_lines")

    def __init__(self) -> None:
        self._lines = Lines()
        self._event = ""
        self._data: list[bytes] = []
        self._bare: list[bytes] = []
        self._held = 0

    def feed(self, data: bytes) -> list[Message]:
        """Raises TooLargeError for a line or a message past the bound."""
        messages: list[Message] = []
        for line in self._lines.feed(data):
            # The two lines that almost every event consists of come first.
            if line.startswith(b"data: "):
                self._data.append(line[6:])
            elif line.startswith(b"event: "):
                self._event = line[7:].decode("utf-8", "replace")
            elif line:
                self._take(line)
            elif self._data or self._bare or self._event:
                self._end(messages)
        # Lines without end make no message: what is kept for one is bounded too.
        self._held = 0 if messages or not (self._data or self._bare) else self._held + len(data)
        if self._held > MAX_LINE_BYTES:
            raise TooLargeError(f"a message of more than {MAX_LINE_BYTES // 1024} KiB")
        return messages

    def close(self) -> list[Message]:
        """What an unfinished end still says. The standard drops it; an error may hide there."""
        messages: list[Message] = []
        last = self._lines.close()
        if last:
            self._take(last)
        self._end(messages)
        return messages

    def _take(self, line: bytes) -> None:
        line = line.removeprefix(BOM)
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode("utf-8", "replace")
        elif name == b"error":  # llama.cpp's field of its own
            self._event = "error"
            self._data.append(value.removeprefix(b" "))
        elif name and name not in _FIELDS:  # without a name: a comment, often used as a ping
            self._bare.append(line)

    def _end(self, messages: list[Message]) -> None:
        if self._data:
            whole = len(self._data) > 1 and all(map(_complete, self._data))
            parts = self._data if whole else [b"\n".join(self._data)]
            messages.extend(Message(self._event, part) for part in parts)
            self._data = []
        if self._bare:
            messages.append(Message("", b"\n".join(self._bare), bare=True))
            self._bare = []
        self._event = ""
