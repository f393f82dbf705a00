"""Anthropic Messages."""

from __future__ import annotations

import json

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, named

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 3,
            "output_tokens": 1,
        },
    },
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def block(index: int, kind: str, **said: str) -> Json:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **said}}


def delta(index: int, kind: str, **said: str) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


def block_end(index: int) -> Json:
    return {"type": "content_block_stop", "index": index}


def end(reason: str, tokens: int = 4) -> Json:
    usage = {"output_tokens": tokens, "output_tokens_details": {"thinking_tokens": 2}}
    said = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": said, "usage": usage}


def text(index: int = 0) -> list[Json]:
    return [
        block(index, "text", text=""),
        PING,
        delta(index, "text_delta", text="ab"),
        delta(index, "text_delta", text="12"),
        block_end(index),
    ]


THINKING = [
    block(0, "thinking", thinking="", signature=""),
    delta(0, "thinking_delta", thinking="hm, ab12?"),
    delta(0, "signature_delta", signature="x"),
    block_end(0),
]


def error(kind: str, message: str) -> Json:
    return {
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": "req_1",
    }


STREAMS = {
    "success": named(START, *text(), end("end_turn"), STOP),
    "reasoning": named(START, *THINKING, *text(1), end("end_turn"), STOP),
    "refusal": named(START, end("refusal"), STOP),
    "length": named(START, *THINKING, end("max_tokens"), STOP),
    "error": named(START, *text()[:3], error("overloaded_error", "Overloaded")),
    "throttled": named(START, error("rate_limit_error", "Slow down")),
    "truncated": named(START, *text(), end("end_turn")),
    "empty": named(START, end("end_turn"), STOP),
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        529,
        json.dumps(error("overloaded_error", "Overloaded")).encode(),
        Outcome.OVERLOADED,
        "HTTP 529 overloaded_error Overloaded",
    ),
    Tokens(input=25, output=4, reasoning=2, cached=3),
    marker=b"event: message_stop",
)
