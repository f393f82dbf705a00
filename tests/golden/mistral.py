"""Mistral: OpenAI's stream with words of its own."""

from __future__ import annotations

import json
from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, sse

USAGE = {"prompt_tokens": 25, "completion_tokens": 4, "total_tokens": 29}
DONE = b"data: [DONE]\n\n"


def chunk(content: Any, finish: str | None = None) -> Json:
    delta = {"role": "assistant", "content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    counted = {"usage": USAGE} if finish else {}
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**base, "choices": [choice], "p": "abcd", **counted}


def thinking(text: str) -> Json:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def error(kind: str, message: str, code: str) -> Json:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


START = chunk("")
LIMITED = error("rate_limited", "Rate limit exceeded", "1300")
STREAMS = {
    "success": sse(START, chunk("ab"), chunk("12"), chunk("", "stop")) + DONE,
    "reasoning": sse(
        START,
        chunk([thinking("hm, ab12?")]),
        chunk([thinking("well"), {"type": "text", "text": "ab"}]),
        chunk("12"),
        chunk("", "stop"),
    )
    + DONE,
    # This API has no word for a refusal: it is text like any other.
    "declined": sse(START, chunk("I can't do that."), chunk("", "stop")) + DONE,
    "length": sse(START, chunk([thinking("hm")]), chunk("", "length")) + DONE,
    "error": sse(START, chunk("ab"), error("internal_server_error", "Gone", "3000")),
    "finished by an error": sse(START, chunk("ab12"), chunk("", "error")) + DONE,
    "throttled": sse(START, LIMITED),
    "truncated": sse(START, chunk("ab"), chunk("12")),
    "no end marker": sse(START, chunk("ab"), chunk("12"), chunk("", "stop")),
    "empty": sse(START, chunk("", "stop")) + DONE,
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        429,
        json.dumps({**LIMITED, "raw_status_code": 429}).encode(),
        Outcome.RATE_LIMITED,
        "HTTP 429 1300 Rate limit exceeded",
    ),
    Tokens(input=25, output=4),
    marker=b'"finish_reason": "stop"',
)
