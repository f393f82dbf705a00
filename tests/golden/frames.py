"""How each API frames what it says, written apart from the code under test."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from prober.sample import Outcome, Tokens

Json = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """An error as the whole answer."""

    status: int
    body: bytes
    outcome: Outcome
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Golden:
    """What one API sends.

    Attributes:
        streams: case -> the bytes of a whole answer.
        tokens: what the stream "success" counts.
        marker: where the message that ends the answer begins, or a part of it that no other holds.
    """

    streams: dict[str, bytes]
    refused: Refused
    tokens: Tokens
    marker: bytes

    def end_of(self, case: str) -> int:
        """Where the end marker is complete: cut before this, an answer is not whole."""
        stream = self.streams[case]
        start = stream.rindex(self.marker)
        if self.marker.startswith(b"\x00"):
            (length,) = struct.unpack_from("!I", stream, start)
            return start + int(length)
        # Counts and [DONE] may come after the message that says the end.
        message = stream[start:].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
        return start + len(message.rstrip())


def sse(*said: Any, end: str = "\n\n") -> bytes:
    return "".join(f"data: {json.dumps(one)}{end}" for one in said).encode()


def named(*said: Json) -> bytes:
    """The event's type as its name too."""
    return b"".join(f"event: {one['type']}\n".encode() + sse(one) for one in said)


def lines(*said: Json) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in said)


def frame(payload: bytes, **headers: str) -> bytes:
    """A message of Amazon's event stream; `event_type` is the header ":event-type"."""
    return framed(payload, b"".join(header(name, value) for name, value in headers.items()))


def header(name: str, value: str) -> bytes:
    name, said = ":" + name.replace("_", "-"), value.encode()
    return struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(said)) + said


def framed(payload: bytes, headers: bytes) -> bytes:
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def event(kind: str, said: Json) -> bytes:
    return frame(
        json.dumps(said).encode(),
        event_type=kind,
        content_type="application/json",
        message_type="event",
    )


def exception(kind: str, said: Json) -> bytes:
    return frame(
        json.dumps(said).encode(),
        exception_type=kind,
        content_type="application/json",
        message_type="exception",
    )
