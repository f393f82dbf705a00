"""Azure OpenAI: OpenAI's stream, with what a content filter says around it."""

from __future__ import annotations

import json

from prober.sample import Outcome, Tokens
from tests.golden.frames import Golden, Json, Refused, sse
from tests.golden.openai import BROKEN, DONE, LIMITED, ROLE, TEXT, USAGE, chunk

SAFE = {"hate": {"filtered": False, "severity": "safe"}}
# The first chunk has no choices.
FIRST = {
    "id": "",
    "object": "",
    "created": 0,
    "model": "",
    "choices": [],
    "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}],
}


def filtered(one: Json) -> Json:
    choices = [{**choice, "content_filter_results": SAFE} for choice in one["choices"]]
    return {**one, "choices": choices}


TEXTS = [filtered(one) for one in TEXT]
INNER = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": SAFE}
REFUSED = {
    "error": {
        "message": "The response was filtered.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": INNER,
    }
}
STREAMS = {
    "success": sse(FIRST, ROLE, *TEXTS, chunk("stop"), USAGE) + DONE,
    "reasoning": sse(FIRST, ROLE, chunk(reasoning_content="hm"), *TEXTS, chunk("stop"), USAGE)
    + DONE,
    "refusal": sse(FIRST, ROLE, chunk("content_filter"), USAGE) + DONE,
    "length": sse(FIRST, ROLE, chunk("length"), USAGE) + DONE,
    "error": sse(FIRST, ROLE, TEXTS[0], BROKEN),
    "throttled": sse(FIRST, LIMITED),
    "truncated": sse(FIRST, ROLE, *TEXTS, USAGE),
    "no end marker": sse(FIRST, ROLE, *TEXTS, chunk("stop"), USAGE),
    "empty": sse(FIRST, ROLE, chunk("stop"), USAGE) + DONE,
}
GOLDEN = Golden(
    STREAMS,
    Refused(
        400,
        json.dumps(REFUSED).encode(),
        Outcome.REFUSAL,
        "HTTP 400 content_filter The response was filtered.",
    ),
    Tokens(input=25, output=4, reasoning=2, cached=3),
    marker=b'"finish_reason": "stop"',
)
