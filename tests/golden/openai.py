"""OpenAI Chat Completions."""

from __future__ import annotations

import json
from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, sse

BASE = {"id": "c", "object": "chat.completion.chunk", "created": 1_767_225_600, "model": "gpt-m"}


def chunk(finish: str | None = None, **delta: Any) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {**BASE, "choices": [choice], "usage": None}


ROLE = chunk(role="assistant", content="", refusal=None)
TEXT = [chunk(content="ab"), chunk(content="12")]
USAGE = {
    **BASE,
    "choices": [],
    "usage": {
        "prompt_tokens": 25,
        "completion_tokens": 4,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
DONE = b"data: [DONE]\n\n"


def error(kind: str, code: str | int | None, message: str) -> Json:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


BROKEN = error("server_error", None, "The server had an error")
LIMITED = error("requests", "rate_limit_exceeded", "Rate limit reached for gpt-m")
STREAMS = {
    "success": sse(ROLE, *TEXT, chunk("stop"), USAGE) + DONE,
    # OpenRouter's comments; vLLM's and others' reasoning.
    "reasoning": b": OPENROUTER PROCESSING\n\n"
    + sse(ROLE, chunk(reasoning_content="hm, ab12?"), *TEXT, chunk("stop"), USAGE)
    + DONE,
    "refusal": sse(ROLE, chunk(refusal="I can't"), chunk("stop"), USAGE) + DONE,
    "filtered": sse(ROLE, TEXT[0], chunk("content_filter"), USAGE) + DONE,
    "length": sse(ROLE, chunk(reasoning="hm"), chunk("length"), USAGE) + DONE,
    "error": sse(ROLE, TEXT[0], BROKEN),
    "error and end": sse(ROLE, *TEXT, BROKEN) + DONE,
    "throttled": sse(ROLE, LIMITED),
    "truncated": sse(ROLE, *TEXT, USAGE),
    "no end marker": sse(ROLE, *TEXT, chunk("stop"), USAGE),
    "empty": sse(ROLE, chunk("stop"), USAGE) + DONE,
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        429,
        json.dumps(LIMITED).encode(),
        Outcome.RATE_LIMITED,
        "HTTP 429 rate_limit_exceeded Rate limit reached for gpt-m",
    ),
    Tokens(input=25, output=4, reasoning=2, cached=3),
    marker=b'"finish_reason": "stop"',
)
