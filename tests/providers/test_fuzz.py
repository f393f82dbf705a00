"""Hostile answers: an outcome or UnreadableError in bounded memory, and no other exception."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from zlib import crc32

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from prober.canary import Canary
from prober.probing.response import MAX_TEXT, Transcript
from prober.providers import ADAPTERS
from prober.providers.adapter import MAX_DETAIL, StreamReader
from prober.providers.events import MAX_LINE_BYTES, TooLargeError, UnreadableError
from prober.sample import Outcome, Tokens
from tests.golden.frames import event, frame, framed, header
from tests.golden.reading import read
from tests.golden.streams import DISTINCT, GOLDEN
from tests.support.values import STEADY

CANARY = Canary("ab12")
APIS = list(ADAPTERS)
TEXTUAL = [api for api in APIS if api != "bedrock"]
CHUNK = 65_536


def survives(api: str, *chunks: bytes) -> Outcome:
    """Reads it as an answer and as an error, and gives what the answer was taken for."""
    whole = b"".join(chunks)
    failure = ADAPTERS[api].classify(500, whole[:CHUNK], {"x-amzn-errortype": "\x00x"})
    assert len(failure.detail) <= MAX_DETAIL
    assert failure.detail.isprintable()
    assert failure.outcome is not Outcome.OK
    try:
        transcript = read(api, *chunks)
    except UnreadableError:
        return Outcome.STREAM_ERROR
    outcome, detail = transcript.conclude(CANARY)
    assert len(detail) <= MAX_DETAIL
    assert len(transcript.text) <= 2 * MAX_TEXT
    assert all(count is None or count >= 0 for count in _counts(transcript.tokens))
    return outcome


def _counts(tokens: Tokens) -> Iterable[int | None]:
    return tokens.input, tokens.output, tokens.reasoning, tokens.cached


@pytest.mark.parametrize("api", APIS)
@STEADY
@given(st.binary(max_size=400))
def test_random_bytes_are_never_ok(api: str, data: bytes) -> None:
    assume(b"ab12" not in data)
    for whole in (data, b"data: " + data + b"\n\n", b"event: error\ndata: " + data):
        assert survives(api, whole) is not Outcome.OK


KEYS = [
    *("type", "delta", "text", "message", "usage", "error", "choices", "content", "finish_reason"),
    *("candidates", "parts", "promptFeedback", "finishReason", "usageMetadata", "done", "event"),
    *("done_reason", "details", "code", "status", "input_tokens", "stop_reason", "violations"),
    *("response", "incomplete_details", "reason", "output_tokens_details", "object", "detail"),
    *("stopReason", "inputTokens", "reasoningContent", "raw_status_code", "innererror"),
]
WORDS = [
    *("error", "message_start", "message_delta", "message_stop", "content_block_delta"),
    *("response.completed", "response.failed", "response.output_text.delta", "thinking"),
    *("response.incomplete", "STOP", "stop", "end_turn", "contentBlockDelta", "messageStop", "x"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@pytest.mark.parametrize("api", APIS)
@STEADY
@example(said={"type": []}, kind="x")
@example(said={"type": {}}, kind="response.completed")
@given(said=JSON, kind=st.sampled_from(WORDS))
def test_json_of_any_shape_is_never_ok(api: str, said: Any, kind: str) -> None:
    body = json.dumps(said).encode()
    typed = json.dumps({**said, "type": kind} if isinstance(said, dict) else said).encode()
    for whole in (
        body + b"\n",
        b"event: " + kind.encode() + b"\ndata: " + body + b"\n\n",
        b"data: " + typed + b"\n\n",
        event(kind, said),
        frame(body, exception_type=kind),
    ):
        assert survives(api, whole) is not Outcome.OK


@pytest.mark.parametrize(("api", "case"), DISTINCT)
@settings(STEADY, max_examples=25)
@given(data=st.data())
def test_a_golden_stream_with_a_few_bytes_changed_never_raises(
    api: str, case: str, data: st.DataObject
) -> None:
    stream = bytearray(GOLDEN[api].streams[case])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(stream) - 1))
        change = data.draw(st.sampled_from(["set", "drop", "repeat", "insert"]))
        if change == "set":
            stream[at] = data.draw(st.integers(0, 255))
        elif change == "drop":
            del stream[at : at + data.draw(st.integers(1, 40))]
        elif change == "repeat":
            stream[at:at] = stream[at : at + data.draw(st.integers(1, 40))]
        else:
            stream[at:at] = data.draw(st.sampled_from(EVIL))
        if not stream:
            break
    survives(api, bytes(stream))


EVIL = [
    *(b"\x00", b"\xff\xfe", b"\xe2\x82", b"\r", b"\n\n", b"[" * 500, b'{"a":' * 300, b"null"),
    *(b"1" * 5_000, b"1e999", b'"\\ud800"', b"data:", b"event: error\n", b"}", b"\\", b"\xf0\x9f"),
]
HOSTILE = {
    "nesting 10,000 deep": b'{"error":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "nested tables 10,000 deep": b'{"error":' * 10_000 + b"1" + b"}" * 10_000,
    "nesting that never ends": b'{"error":' + b"[" * 100_000,
    "nesting as deep as is read": b'{"error":' + b"[" * 190 + b"]" * 190 + b"}",
    "broken UTF-8": b'{"error": "\xff\xfe\xc3"}',
    "half a character": b'{"error": {"message": "\xe2\x82"}}',
    "a lone surrogate": b'{"error": {"message": "\\ud800"}}',
    "a number too long for an int": b'{"error": {"code": 1' + b"0" * 5_000 + b"}}",
    "a number as long as an int may be": b'{"error": {"code": 1' + b"0" * 4_299 + b"}}",
    "a number that is none": b'{"error": {"code": NaN}}',
    "a code that is true": b'{"error": {"code": true}}',
    "terminal escapes": b'{"error": {"message": "\\u001b[2J\\u202e\\u0000"}}',
    "a message that is a list": b'{"error": {"message": [1, 2]}}',
    "a detail that is odd": b'{"detail": [[], {}, 5]}',
    "a null": b"null",
    "an empty list": b"[]",
    "a list of lists": b"[[[]]]",
    "nothing but spaces": b" " * 50_000,
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_neither_raise_nor_pass(api: str, name: str) -> None:
    body = HOSTILE[name]
    for whole in (body, b"data: " + body + b"\n\n", frame(body[:60_000], event_type="messageStop")):
        assert survives(api, whole) is not Outcome.OK


@pytest.mark.parametrize("depth", range(150, 260, 3))
def test_nesting_near_the_limit_of_the_parser_does_not_raise(depth: int) -> None:
    body = b'{"error":' + b"[" * depth + b"]" * depth + b"}"
    for api in APIS:
        assert survives(api, body) is not Outcome.OK


# -- memory ----------------------------------------------------------------------------------------


def held(reader: StreamReader) -> int:
    """The bytes that a reader keeps between two chunks, buffers and their lists."""
    return _size(reader._framing, set())


def _size(value: Any, seen: set[int]) -> int:
    if id(value) in seen or value is None or isinstance(value, type):
        return 0
    seen.add(id(value))
    size = sys.getsizeof(value)
    if isinstance(value, list | tuple):
        return size + sum(_size(one, seen) for one in value)
    fields = {name: getattr(value, name) for name in getattr(value, "__slots__", ())}
    fields |= vars(value) if hasattr(value, "__dict__") else {}
    return size + sum(_size(one, seen) for one in fields.values())


# A message and the chunk that may come on top; a short line costs Python many times its bytes.
BOUND = 8 * (MAX_LINE_BYTES + CHUNK)

ENDLESS: Mapping[str, bytes] = {
    "one line": b"x",
    "comments": b": ping\n\n",
    "comments without a gap": b": ping\n",
    "data without a gap": b"data: 0123456789\n",
    "short data without a gap": b"data:01234567\n",
    "lines of no kind": b"<p>Gateway</p>\n",
    "empty lines": b"\n",
    "carriage returns": b"\r",
    "names of events": b"event: x\n",
    "events": b'event: ping\ndata: {"type": "ping"}\n\n',
    "nothing": b"\x00",
}


@pytest.mark.parametrize("api", ["openai", "ollama", "bedrock"], ids=["sse", "ndjson", "binary"])
@pytest.mark.parametrize("name", ENDLESS)
@pytest.mark.parametrize("size", [100, CHUNK])
def test_an_endless_answer_is_held_in_bounded_memory(api: str, name: str, size: int) -> None:
    """Twice the bound of it: it is refused, or nothing is kept. One API for each framing."""
    reader, transcript = ADAPTERS[api].reader(), Transcript()
    piece = ENDLESS[name]
    chunk = piece * (size // len(piece) + 1)
    try:
        for number in range(600_000 // len(chunk)):
            for said in reader.feed(chunk):
                transcript.take(said, 0.0)
            if number % 97 == 0:
                assert held(reader) <= BOUND
    except UnreadableError:
        pass
    assert held(reader) <= BOUND
    assert len(transcript.text) <= 2 * MAX_TEXT
    assert transcript.conclude(CANARY)[0] is not Outcome.OK


@pytest.mark.parametrize("api", TEXTUAL)
def test_a_line_of_ten_megabytes_is_refused(api: str) -> None:
    with pytest.raises(TooLargeError):
        read(api, b"data: " + b"x" * 10_000_000)


@pytest.mark.parametrize("api", sorted(set(TEXTUAL) - {"ollama"}))
def test_a_message_of_many_lines_is_bounded_too(api: str) -> None:
    with pytest.raises(TooLargeError, match="a message of more than 256 KiB"):
        read(api, *[b"data: " + b"x" * 1_000 + b"\n"] * 300)


@pytest.mark.parametrize("api", TEXTUAL)
def test_many_whole_messages_in_one_chunk_are_fine(api: str) -> None:
    stream = GOLDEN[api].streams["success"]
    end = {"ollama": b"\n", "gemini": b"\r\n\r\n", "vertex": b"\r\n\r\n"}.get(api, b"\n\n")
    first = stream[: stream.index(end) + len(end)]
    many = first * (2 * MAX_LINE_BYTES // len(first))
    assert read(api, many, stream).terminal
    assert read(api, many[:CHUNK] + stream[:7], stream[7:]).terminal


# -- Amazon's frames -------------------------------------------------------------------------------

GOOD = GOLDEN["bedrock"].streams["success"]


def prelude(total: int, named: int, checksum: int | None = None) -> bytes:
    said = struct.pack("!II", total, named)
    return said + struct.pack("!I", crc32(said) if checksum is None else checksum)


@pytest.mark.parametrize("at", [*range(40), len(GOOD) - 1])
@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_is_found_by_a_checksum(at: int, bit: int) -> None:
    broken = bytearray(GOOD)
    broken[at] ^= 1 << bit
    with pytest.raises(UnreadableError, match="checksum"):
        read("bedrock", bytes(broken))


@pytest.mark.parametrize("total", [MAX_LINE_BYTES + 1, 20_000_000, 2**31, 2**32 - 1])
def test_a_giant_declared_length_is_refused_before_its_bytes_come(total: int) -> None:
    with pytest.raises(TooLargeError):
        read("bedrock", prelude(total, 0))


@pytest.mark.parametrize(
    ("total", "named"), [(0, 0), (1, 0), (12, 0), (15, 0), (16, 1), (100, 200), (16, 2**32 - 1)]
)
def test_lengths_that_contradict_each_other_are_refused(total: int, named: int) -> None:
    """Not struct.error, and no loop without end."""
    with pytest.raises(UnreadableError, match="contradict"):
        read("bedrock", prelude(total, named) + b"\x00" * 300)


@pytest.mark.parametrize(
    "broken",
    [
        b"\x05:a",  # a name cut short
        b"\x02:a",  # no type
        b"\x02:a\x07",  # no length
        b"\x02:a\x07\x00\xffab",  # shorter than it says
        b"\x02:a\x03\x01",
        b"\x02:a\x0a",  # no such type
        b"\x02:a\xff",
    ],
)
def test_broken_headers_are_refused(broken: bytes) -> None:
    with pytest.raises(UnreadableError, match="header"):
        read("bedrock", framed(b"{}", broken))


def test_headers_that_are_no_text_do_not_raise() -> None:
    odd = header("event_type", "x").replace(b"x", b"\xff") + b"\x01\xff\x07\x00\x01\xff"
    assert survives("bedrock", framed(b"\xff\xfe", odd)) is Outcome.STREAM_TRUNCATED


@STEADY
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_frames_of_any_content_do_not_raise(headers: bytes, payload: bytes) -> None:
    assert survives("bedrock", framed(payload, headers)) is not Outcome.OK
    assert survives("bedrock", frame(payload, event_type="messageStop")) is not Outcome.OK
