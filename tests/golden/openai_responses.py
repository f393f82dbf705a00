"""OpenAI Responses."""

from __future__ import annotations

import json
from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, named

USAGE = {
    "input_tokens": 25,
    "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
    "output_tokens": 4,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 29,
}
PLACE = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
THOUGHT = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}


def response(status: str, **said: Any) -> Json:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_767_225_600,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "gpt-m",
        "output": [],
        "parallel_tool_calls": True,
        "store": False,
        "tool_choice": "auto",
        "tools": [],
        "usage": None if status == "in_progress" else USAGE,
        **said,
    }


def numbered(*said: Json) -> bytes:
    return named(*({**one, "sequence_number": at} for at, one in enumerate(said)))


def end(status: str, **said: Any) -> Json:
    return {"type": f"response.{status}", "response": response(status, **said)}


def message(*content: Json, status: str = "in_progress") -> Json:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": list(content),
    }


def part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def text(delta: str) -> Json:
    return {"type": "response.output_text.delta", **PLACE, "delta": delta, "logprobs": []}


BEGUN = [
    {"type": "response.created", "response": response("in_progress")},
    {"type": "response.in_progress", "response": response("in_progress")},
]
ADDED = [
    {"type": "response.output_item.added", "output_index": 0, "item": message()},
    {"type": "response.content_part.added", **PLACE, "part": part("")},
]
DONE = [
    {"type": "response.output_text.done", **PLACE, "text": "ab12", "logprobs": []},
    {"type": "response.content_part.done", **PLACE, "part": part("ab12")},
    {
        "type": "response.output_item.done",
        "output_index": 0,
        "item": message(part("ab12"), status="completed"),
    },
]
TEXT = [*ADDED, text("ab"), text("12"), *DONE]
REASONED = [
    {
        "type": "response.output_item.added",
        "output_index": 0,
        "item": {"id": "rs_1", "type": "reasoning", "summary": []},
    },
    {
        "type": "response.reasoning_summary_part.added",
        **THOUGHT,
        "part": {"type": "summary_text", "text": ""},
    },
    {"type": "response.reasoning_summary_text.delta", **THOUGHT, "delta": "hm, ab12?"},
    {"type": "response.reasoning_summary_text.done", **THOUGHT, "text": "hm, ab12?"},
]
DECLINED = [
    {"type": "response.refusal.delta", **PLACE, "delta": "I can't"},
    {"type": "response.refusal.done", **PLACE, "refusal": "I can't"},
]


def error(code: str, words: str) -> Json:
    return {"type": "error", "code": code, "message": words, "param": None}


def failed(code: str, words: str) -> Json:
    return end("failed", error={"code": code, "message": words}, usage=None)


NESTED = {"type": "error", "error": {"type": "server_error", "message": "gone", "code": None}}
CUT = {"reason": "max_output_tokens"}
FILTERED = {"reason": "content_filter"}
LIMITED = {
    "error": {
        "message": "Rate limit reached for gpt-m",
        "type": "tokens",
        "param": None,
        "code": "rate_limit_exceeded",
    }
}
STREAMS = {
    "success": numbered(*BEGUN, *TEXT, end("completed")),
    "reasoning": numbered(*BEGUN, *REASONED, *TEXT, end("completed")),
    "refusal": numbered(*BEGUN, *ADDED, *DECLINED, end("completed")),
    "filtered": numbered(*BEGUN, *TEXT, end("incomplete", incomplete_details=FILTERED)),
    "length": numbered(*BEGUN, *REASONED, end("incomplete", incomplete_details=CUT)),
    "error": numbered(*BEGUN, *TEXT, error("server_error", "The server had an error")),
    "failed": numbered(*BEGUN, *TEXT, failed("server_error", "The server had an error")),
    "nested": numbered(*BEGUN, NESTED),
    "throttled": numbered(*BEGUN, failed("rate_limit_exceeded", "Rate limit reached")),
    "truncated": numbered(*BEGUN, *TEXT),
    "empty": numbered(*BEGUN, end("completed")),
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
    marker=b"event: response.completed",
)
