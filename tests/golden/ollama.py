"""Ollama: newline-delimited JSON."""

from __future__ import annotations

from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, lines


def line(text: str = "", **said: Any) -> Json:
    message: Json = {"role": "assistant", "content": text}
    if thinking := said.pop("thinking", ""):
        message["thinking"] = thinking
    made = "2026-01-01T00:00:00.000000Z"
    return {"model": "m", "created_at": made, "message": message, "done": False, **said}


def end(reason: str) -> Json:
    return line(
        done=True,
        done_reason=reason,
        total_duration=25_000_000,
        load_duration=9_000_000,
        prompt_eval_count=25,
        prompt_eval_duration=4_000_000,
        eval_count=4,
        eval_duration=20_000_000,
    )


STREAMS = {
    "success": lines(line("ab"), line("12"), end("stop")),
    "reasoning": lines(line(thinking="hm, ab12?"), line("ab12"), end("stop")),
    "declined": lines(line("I can't do that."), end("stop")),
    "length": lines(line(thinking="hm"), end("length")),
    "error": lines(line("ab"), {"error": "llama runner process has terminated"}),
    "exhausted": lines({"error": "you (a) have reached your weekly usage limit, upgrade"}),
    "truncated": lines(line("ab"), line("12")),
    "empty": lines(line(), end("stop")),
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        404,
        b'{"error":"model \'m\' not found"}',
        Outcome.MODEL_NOT_FOUND,
        "HTTP 404 model 'm' not found",
    ),
    Tokens(input=25, output=4),
    marker=b'{"model"',
)
