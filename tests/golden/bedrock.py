"""Amazon Bedrock: a binary event stream."""

from __future__ import annotations

import json

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, event, exception, frame

START = event("messageStart", {"role": "assistant"})
BLOCK_END = event("contentBlockStop", {"contentBlockIndex": 0})
USAGE = event(
    "metadata",
    {
        "usage": {
            "inputTokens": 25,
            "outputTokens": 4,
            "totalTokens": 29,
            "cacheReadInputTokens": 3,
            "cacheWriteInputTokens": 0,
        },
        "metrics": {"latencyMs": 20},
    },
)


def delta(said: Json) -> bytes:
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": said})


def stop(reason: str) -> bytes:
    return event("messageStop", {"stopReason": reason})


TEXT = delta({"text": "ab"}) + delta({"text": "12"}) + BLOCK_END
THOUGHT = delta({"reasoningContent": {"text": "hm, ab12?"}})
SIGNED = delta({"reasoningContent": {"signature": "x"}})
# An error without a payload: its words stand in headers.
BARE_ERROR = frame(b"", message_type="error", error_code="internalFailure", error_message="Gone")
STREAMS = {
    "success": START + TEXT + stop("end_turn") + USAGE,
    "reasoning": START + THOUGHT + SIGNED + TEXT + stop("end_turn") + USAGE,
    "refusal": START + TEXT + stop("guardrail_intervened") + USAGE,
    "filtered": START + stop("content_filtered") + USAGE,
    "length": START + THOUGHT + stop("max_tokens") + USAGE,
    "error": START + TEXT + exception("serviceUnavailableException", {"message": "Busy"}),
    "failed": START + exception("modelStreamErrorException", {"message": "Gone"}),
    "bare error": START + TEXT + BARE_ERROR,
    "malformed": START + TEXT + stop("malformed_model_output") + USAGE,
    "throttled": START + exception("throttlingException", {"message": "Too many requests"}),
    "truncated": START + TEXT,
    "empty": START + BLOCK_END + stop("end_turn") + USAGE,
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        429,
        json.dumps({"message": "Too many requests"}).encode(),
        Outcome.RATE_LIMITED,
        "HTTP 429 ThrottlingException Too many requests",
        {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/"},
    ),
    Tokens(input=25, output=4, cached=3),
    marker=stop("end_turn"),
)
