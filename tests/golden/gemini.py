"""Gemini. Its lines end as HTTP's do; an error in a stream is bare JSON over several lines."""

from __future__ import annotations

import json
from typing import Any

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, sse

USAGE = {
    "promptTokenCount": 25,
    "candidatesTokenCount": 4,
    "thoughtsTokenCount": 2,
    "cachedContentTokenCount": 3,
    "totalTokenCount": 31,
}
TYPE = "type.googleapis.com/google.rpc."


def said(text: str = "", finish: str = "", *, thought: bool = False, usage: bool = False) -> Json:
    part: Json = {"text": text, "thought": True} if thought else {"text": text}
    candidate: Json = {"content": {"parts": [part], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    counted = {"usageMetadata": USAGE} if usage else {}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r", **counted}


def data(*chunks: Any) -> bytes:
    return sse(*chunks, end="\r\n\r\n")


def error(code: int, status: str, message: str, *details: Json) -> bytes:
    found: Json = {"code": code, "message": message, "status": status}
    if details:
        found["details"] = list(details)
    return json.dumps({"error": found}, indent=2).encode() + b"\n"


RETRY = {"@type": TYPE + "RetryInfo", "retryDelay": "7s"}


def quota(id: str) -> Json:
    violation = {"quotaMetric": "generate_requests", "quotaId": id, "quotaValue": "10"}
    return {"@type": TYPE + "QuotaFailure", "violations": [violation]}


OVERLOADED = error(503, "UNAVAILABLE", "The model is overloaded.")
PER_MINUTE = quota("GenerateRequestsPerMinutePerProjectPerModel")
PER_DAY = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
STREAMS = {
    "success": data(said("ab"), said("12"), said("", "STOP", usage=True)),
    "reasoning": data(said("hm, ab12?", thought=True), said("ab12"), said("", "STOP", usage=True)),
    "refusal": data(said("", "SAFETY", usage=True)),
    "blocked": data({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}),
    "length": data(said("hm", thought=True), said("", "MAX_TOKENS", usage=True)),
    "error": data(said("ab")) + OVERLOADED,
    "listed error": b"[" + OVERLOADED.rstrip() + b"\n]\n",
    "unknown finish": data(said("ab12", "MALFORMED_RESPONSE", usage=True)),
    "throttled": data(said("ab")) + error(429, "RESOURCE_EXHAUSTED", "Slow", PER_MINUTE, RETRY),
    "exhausted": data(said("ab")) + error(429, "RESOURCE_EXHAUSTED", "Slow", PER_DAY, RETRY),
    "truncated": data(said("ab"), said("12")),
    "empty": data(said("", "STOP", usage=True)),
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        503,
        OVERLOADED,
        Outcome.OVERLOADED,
        "HTTP 503 UNAVAILABLE The model is overloaded.",
    ),
    # Thoughts come on top of the candidates here, and are billed with them.
    Tokens(input=25, output=6, reasoning=2, cached=3),
    marker=b"data: ",
)
