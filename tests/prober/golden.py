"""Byte streams as the four APIs document them, one for each way an answer can go."""

from __future__ import annotations

import json
from typing import Any

ANSWER = "ab12"


def _sse(*said: Any, end: str = "\n\n") -> bytes:
    return "".join(f"data: {json.dumps(one)}{end}" for one in said).encode()


def _named(*said: dict[str, Any]) -> bytes:
    return b"".join(f"event: {one['type']}\n".encode() + _sse(one) for one in said)


def _lines(*said: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in said)


# -- Anthropic -------------------------------------------------------------------------------------

_START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "role": "assistant",
        "usage": {"input_tokens": 25, "cache_read_input_tokens": 3, "output_tokens": 1},
    },
}
_BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
_BLOCK_END = {"type": "content_block_stop", "index": 0}
_STOP = {"type": "message_stop"}


def _a_delta(kind: str, **said: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **said}}


def _a_end(reason: str, tokens: int = 4) -> dict[str, Any]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": delta, "usage": {"output_tokens": tokens}}


_A_TEXT = [_BLOCK, _a_delta("text_delta", text="ab"), _a_delta("text_delta", text="12"), _BLOCK_END]
_A_ERROR = {
    "type": "error",
    "error": {"type": "overloaded_error", "message": "Overloaded"},
    "request_id": "req_1",
}

ANTHROPIC = {
    "success": _named(_START, {"type": "ping"}, *_A_TEXT, _a_end("end_turn"), _STOP),
    "reasoning": _named(
        _START,
        _a_delta("thinking_delta", thinking="hm"),
        _a_delta("signature_delta", signature="x"),
        *_A_TEXT,
        _a_end("end_turn"),
        _STOP,
    ),
    "refusal": _named(_START, _a_end("refusal"), _STOP),
    "length": _named(
        _START, _a_delta("thinking_delta", thinking="hm"), _a_end("max_tokens"), _STOP
    ),
    "error": _named(_START, *_A_TEXT[:2], _A_ERROR),
    "truncated": _named(_START, *_A_TEXT, _a_end("end_turn")),
    "empty": _named(_START, _a_end("end_turn"), _STOP),
}

# -- OpenAI ----------------------------------------------------------------------------------------


def _chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], "usage": None}


_O_ROLE = _chunk(role="assistant", content="", refusal=None)
_O_TEXT = [_chunk(content="ab"), _chunk(content="12")]
_O_USAGE = {
    "id": "c",
    "choices": [],
    "usage": {
        "prompt_tokens": 25,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
}
_DONE = b"data: [DONE]\n\n"
_O_ERROR = {"error": {"message": "The server had an error", "type": "server_error", "code": None}}

OPENAI = {
    "success": _sse(_O_ROLE, *_O_TEXT, _chunk("stop"), _O_USAGE) + _DONE,
    "reasoning": b": OPENROUTER PROCESSING\n\n"
    + _sse(_O_ROLE, _chunk(reasoning_content="hm"), *_O_TEXT, _chunk("stop"), _O_USAGE)
    + _DONE,
    "refusal": _sse(_O_ROLE, _chunk(refusal="I can't"), _chunk("stop"), _O_USAGE) + _DONE,
    "length": _sse(_O_ROLE, _chunk(reasoning="hm"), _chunk("length"), _O_USAGE) + _DONE,
    "error": _sse(_O_ROLE, _O_TEXT[0], _O_ERROR),
    "truncated": _sse(_O_ROLE, *_O_TEXT, _chunk("stop"), _O_USAGE),
    "empty": _sse(_O_ROLE, _chunk("stop"), _O_USAGE) + _DONE,
}

# -- Gemini ----------------------------------------------------------------------------------------


def _g(text: str = "", finish: str = "", *, thought: bool = False, usage: bool = False) -> Any:
    part: dict[str, Any] = {"text": text, "thought": True} if thought else {"text": text}
    candidate: dict[str, Any] = {"content": {"parts": [part], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    said: dict[str, Any] = {"candidates": [candidate], "modelVersion": "m"}
    if usage:
        said["usageMetadata"] = {
            "promptTokenCount": 25,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 3,
        }
    return said


def _gemini(*said: Any) -> bytes:
    return _sse(*said, end="\r\n\r\n")


_G_ERROR = json.dumps(
    {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}, indent=2
).encode()

GEMINI = {
    "success": _gemini(_g("ab"), _g("12"), _g("", "STOP", usage=True)),
    "reasoning": _gemini(_g("hm", thought=True), _g("ab12", "STOP", usage=True)),
    "refusal": _gemini(_g("", "SAFETY", usage=True)),
    "blocked": _gemini({"promptFeedback": {"blockReason": "SAFETY"}}),
    "length": _gemini(_g("hm", thought=True), _g("", "MAX_TOKENS", usage=True)),
    "error": _gemini(_g("ab")) + _G_ERROR + b"\n",
    "truncated": _gemini(_g("ab"), _g("12")),
    "empty": _gemini(_g("", "STOP", usage=True)),
}

# -- Ollama ----------------------------------------------------------------------------------------


def _l(text: str = "", **said: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": "m", "message": message, "done": False, **said}


def _l_end(reason: str) -> dict[str, Any]:
    return _l(done=True, done_reason=reason, prompt_eval_count=25, eval_count=4, load_duration=9)


OLLAMA = {
    "success": _lines(_l("ab"), _l("12"), _l_end("stop")),
    "reasoning": _lines(
        {"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": False},
        _l("ab12"),
        _l_end("stop"),
    ),
    "length": _lines(_l_end("length")),
    "error": _lines(_l("ab"), {"error": "llama runner process has terminated"}),
    "truncated": _lines(_l("ab"), _l("12")),
    "empty": _lines(_l(), _l_end("stop")),
}

GOLDEN: dict[str, dict[str, bytes]] = {
    "anthropic": ANTHROPIC,
    "openai": OPENAI,
    "gemini": GEMINI,
    "ollama": OLLAMA,
}
CASES = [(api, case) for api, cases in GOLDEN.items() for case in cases]
