"""Byte streams as the nine APIs document them, one for each way an answer can go."""

from __future__ import annotations

from prober.sample import Outcome
from tests.golden import (
    anthropic,
    azure_openai,
    bedrock,
    gemini,
    mistral,
    ollama,
    openai,
    openai_responses,
    vertex,
)
from tests.golden.frames import Golden

ANSWER = "ab12"
GOLDEN: dict[str, Golden] = {
    "anthropic": anthropic.GOLDEN,
    "openai": openai.GOLDEN,
    "openai-responses": openai_responses.GOLDEN,
    "gemini": gemini.GOLDEN,
    "mistral": mistral.GOLDEN,
    "ollama": ollama.GOLDEN,
    "azure-openai": azure_openai.GOLDEN,
    "bedrock": bedrock.GOLDEN,
    "vertex": vertex.GOLDEN,
}
CASES = [(api, case) for api, golden in GOLDEN.items() for case in golden.streams]
OUTCOMES = {
    "success": Outcome.OK,
    "reasoning": Outcome.OK,
    "refusal": Outcome.REFUSAL,
    "filtered": Outcome.REFUSAL,
    "blocked": Outcome.REFUSAL,
    "declined": Outcome.WRONG_ANSWER,
    "length": Outcome.BUDGET_TOO_SMALL,
    "error": Outcome.STREAM_ERROR,
    "error and end": Outcome.STREAM_ERROR,
    "listed error": Outcome.STREAM_ERROR,
    "bare error": Outcome.STREAM_ERROR,
    "nested": Outcome.STREAM_ERROR,
    "failed": Outcome.STREAM_ERROR,
    "malformed": Outcome.STREAM_ERROR,
    "unknown finish": Outcome.STREAM_ERROR,
    "finished by an error": Outcome.STREAM_ERROR,
    "throttled": Outcome.RATE_LIMITED,
    "exhausted": Outcome.QUOTA_EXHAUSTED,
    "truncated": Outcome.STREAM_TRUNCATED,
    "no end marker": Outcome.OK,
    "empty": Outcome.EMPTY_COMPLETION,
}
# Vertex says what Gemini and Anthropic say: for dear tests two of its streams are enough.
DISTINCT = [(api, case) for api, case in CASES if api != "vertex" or case.endswith("success")]
GOOD = [(api, case) for api, case in CASES if OUTCOMES[case.removeprefix("claude ")] is Outcome.OK]


def outcome_of(case: str) -> Outcome:
    return OUTCOMES[case.removeprefix("claude ")]
