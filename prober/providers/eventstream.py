"""Amazon's binary event stream: a length, headers, a payload and two checksums a message. Pure.

Source: the specification "Amazon Event Stream" of the Smithy documentation. botocore has a decoder
too; it is an import of hundreds of modules, and believes lengths up to 24 MiB.
"""

from __future__ import annotations

from struct import Struct, error, unpack_from
from zlib import crc32

from prober.providers.events import MAX_LINE_BYTES, TooLargeError, UnreadableError
from prober.providers.sse import Message

# The whole length, that of the headers, and the checksum of both.
_PRELUDE = Struct("!III")
_CRC_BYTES = 4
# What a header's value takes, by its type; byte arrays and strings say it themselves.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTES, _STRING = 6, 7


class EventStream:
    """Bytes in, messages out, split anywhere."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Raises UnreadableError for what is no such stream, or a message past the bound."""
        self._buffer += data
        messages: list[Message] = []
        while frame := self._frame():
            named = _PRELUDE.unpack_from(frame)[1]
            headers = _headers(frame[_PRELUDE.size : _PRELUDE.size + named])
            messages.append(_message(headers, frame[_PRELUDE.size + named : -_CRC_BYTES]))
        return messages

    def close(self) -> list[Message]:
        self._buffer.clear()
        return []

    def _frame(self) -> bytes:
        """The next whole message, taken out of the buffer; empty while it has not come."""
        if len(self._buffer) < _PRELUDE.size:
            return b""
        total, named, checksum = _PRELUDE.unpack_from(self._buffer)
        _check(self._buffer[: _PRELUDE.size - _CRC_BYTES], checksum)
        if total > MAX_LINE_BYTES:
            raise TooLargeError(f"a message of more than {MAX_LINE_BYTES // 1024} KiB")
        if total < _PRELUDE.size + named + _CRC_BYTES:
            raise UnreadableError("no event stream of this API: lengths that contradict each other")
        if len(self._buffer) < total:
            return b""
        frame = bytes(self._buffer[:total])
        del self._buffer[:total]
        _check(frame[:-_CRC_BYTES], int.from_bytes(frame[-_CRC_BYTES:], "big"))
        return frame


def _check(data: bytes | bytearray, checksum: int) -> None:
    if crc32(data) != checksum:
        raise UnreadableError("no event stream of this API: a checksum does not fit")


def _headers(data: bytes) -> dict[str, str]:
    """Those that are text; the others are stepped over."""
    headers: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            end = at + 1 + data[at]
            name, kind, at = data[at + 1 : end], data[end], end + 1
            if kind in (_BYTES, _STRING):
                (size,) = unpack_from("!H", data, at)
                at += 2
            else:
                size = _SIZES[kind]
            value, at = data[at : at + size], at + size
            if kind == _STRING:
                headers[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    except (IndexError, KeyError, error):
        at = len(data) + 1
    if at > len(data):
        raise UnreadableError("no event stream of this API: a header is broken")
    return headers


def _message(headers: dict[str, str], payload: bytes) -> Message:
    kind = headers.get(":exception-type") or headers.get(":error-code")
    if kind or headers.get(":message-type") in ("exception", "error"):
        content = payload or headers.get(":error-message", "").encode()
        return Message(kind or "error", content, bare=True)
    return Message(headers.get(":event-type", ""), payload)
