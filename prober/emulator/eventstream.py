"""Amazon's binary event stream: length, headers, payload, two checksums a message. Pure.

Source: the specification "Amazon Event Stream" of the Smithy documentation. Written apart from the
SDK, so that a decoder which takes this has read the specification too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from zlib import crc32

from prober.emulator.wire import Json, compact

# A prelude of two lengths and its checksum before the rest, the checksum of all behind it.
_PRELUDE = struct.Struct("!II")
_CRC = struct.Struct("!I")
_STRING = 7


def event(kind: str, body: Json) -> bytes:
    return _json({":message-type": "event", ":event-type": kind}, body)


def exception(kind: str, body: Json) -> bytes:
    return _json({":message-type": "exception", ":exception-type": kind}, body)


def _json(headers: Mapping[str, str], body: Json) -> bytes:
    return message({**headers, ":content-type": "application/json"}, compact(body).encode())


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message; every header is a string."""
    named = b"".join(_header(name, value) for name, value in headers.items())
    length = _PRELUDE.size + _CRC.size + len(named) + len(payload) + _CRC.size
    prelude = _PRELUDE.pack(length, len(named))
    framed = prelude + _CRC.pack(crc32(prelude)) + named + payload
    return framed + _CRC.pack(crc32(framed))


def _header(name: str, value: str) -> bytes:
    name_bytes, text = name.encode(), value.encode()
    return bytes([len(name_bytes)]) + name_bytes + struct.pack("!BH", _STRING, len(text)) + text
