"""What each family of models is asked with, so that it answers shortly and answers at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prober.config.vendors import PLAIN_TOKENS, REASONING_TOKENS
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint
from prober.providers.reasoning import ReasoningSettings, settings

PLAIN = ReasoningSettings(PLAIN_TOKENS, {})
LONG = ReasoningSettings(REASONING_TOKENS, {})


def effort(said: str, tokens: int = REASONING_TOKENS) -> ReasoningSettings:
    return ReasoningSettings(tokens, {"reasoning_effort": said})


def nested(said: str, tokens: int = REASONING_TOKENS) -> ReasoningSettings:
    return ReasoningSettings(tokens, {"reasoning": {"effort": said}})


def claude(said: str) -> ReasoningSettings:
    return ReasoningSettings(REASONING_TOKENS, {"output_config": {"effort": said}})


def amazon(**fields: Any) -> ReasoningSettings:
    return ReasoningSettings(REASONING_TOKENS, {"additionalModelRequestFields": fields})


def thinking(tokens: int = REASONING_TOKENS, **said: Any) -> ReasoningSettings:
    return ReasoningSettings(tokens, {"generationConfig": {"thinkingConfig": said}})


CLAUDE_5 = {"effort": "low"}
TABLE: list[tuple[str, str, ReasoningSettings]] = [
    # OpenAI's, over both of its APIs.
    ("openai", "gpt-4.1", PLAIN),
    ("openai", "gpt-4o-mini", PLAIN),
    ("openai", "o4-mini", effort("low")),
    ("openai", "o3", effort("low")),
    ("openai", "gpt-5", effort("low")),
    ("openai", "gpt-5-mini", effort("low")),
    ("openai", "gpt-5.6", effort("none", PLAIN_TOKENS)),
    ("openai", "gpt-5.4-nano", effort("none", PLAIN_TOKENS)),
    ("openai", "gpt-6", effort("none", PLAIN_TOKENS)),
    ("openai", "gpt-6-astra", effort("low")),
    ("openai", "gpt-5-chat-latest", PLAIN),
    ("openai", "gpt-5.2-chat-latest", PLAIN),
    ("openai", "gpt-5-codex", effort("low")),
    ("openai", "gpt-5.2-codex", effort("low")),
    ("openai-responses", "gpt-4.1", PLAIN),
    ("openai-responses", "gpt-5", nested("low")),
    ("openai-responses", "gpt-5.6", nested("none", PLAIN_TOKENS)),
    ("openai-responses", "gpt-5-pro", LONG),
    ("openai-responses", "o3-pro", LONG),
    ("azure-openai", "gpt-4.1", PLAIN),
    ("azure-openai", "gpt-35-turbo", PLAIN),
    ("azure-openai", "gpt-5", effort("low")),
    ("azure-openai", "my-deployment", PLAIN),
    # Anthropic's.
    ("anthropic", "claude-haiku-4-5", PLAIN),
    ("anthropic", "claude-haiku-4-5-20251001", PLAIN),
    ("anthropic", "claude-3-5-haiku-latest", PLAIN),
    ("anthropic", "claude-opus-4-1", PLAIN),
    ("anthropic", "claude-opus-5", claude("low")),
    ("anthropic", "claude-sonnet-5-20260915", claude("low")),
    ("anthropic", "claude-fable-5-2", claude("low")),
    ("vertex", "claude-haiku-4-5@20251001", PLAIN),
    ("vertex", "claude-opus-5@20260801", claude("low")),
    # Google's.
    ("gemini", "gemini-2.0-flash", PLAIN),
    ("gemini", "gemini-2.5-flash", thinking(PLAIN_TOKENS, thinkingBudget=0)),
    ("gemini", "gemini-2.5-flash-lite", thinking(PLAIN_TOKENS, thinkingBudget=0)),
    ("gemini", "models/gemini-2.5-flash", thinking(PLAIN_TOKENS, thinkingBudget=0)),
    ("gemini", "gemini-2.5-pro", thinking(thinkingBudget=128)),
    ("gemini", "gemini-3-flash", thinking(thinkingLevel="low")),
    ("gemini", "gemini-3.1-pro-preview", thinking(thinkingLevel="low")),
    ("gemini", "gemini-flash-latest", thinking(thinkingLevel="low")),
    ("gemini", "gemini-flash-lite-latest", thinking(thinkingLevel="low")),
    ("gemini", "gemma-3-27b-it", PLAIN),
    ("vertex", "gemini-2.5-pro", thinking(thinkingBudget=128)),
    ("vertex", "gemini-3-flash", thinking(thinkingLevel="low")),
    # Amazon hands each family its own words.
    ("bedrock", "us.anthropic.claude-opus-5-v1:0", amazon(output_config=CLAUDE_5)),
    ("bedrock", "anthropic.claude-fable-5-v1:0", amazon(output_config=CLAUDE_5)),
    ("bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0", PLAIN),
    ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", PLAIN),
    ("bedrock", "openai.gpt-oss-120b-1:0", amazon(reasoning_effort="low")),
    (
        "bedrock",
        "us.openai.gpt-5.6-luna",
        ReasoningSettings(
            PLAIN_TOKENS, {"additionalModelRequestFields": {"reasoning": {"effort": "none"}}}
        ),
    ),
    ("bedrock", "us.deepseek.r1-v1:0", PLAIN),
    ("bedrock", "amazon.nova-lite-v1:0", PLAIN),
    # Everybody else's.
    ("mistral", "mistral-small-latest", PLAIN),
    ("mistral", "magistral-small-latest", LONG),
    ("ollama", "gpt-oss:20b", ReasoningSettings(REASONING_TOKENS, {"think": "low"})),
    ("ollama", "llama3.2", PLAIN),
    ("ollama", "qwen3:4b", PLAIN),
    ("openai", "deepseek-reasoner", LONG),
    ("openai", "deepseek-chat", PLAIN),
    ("openai", "Qwen/Qwen3-30B-A3B-Thinking-2507", LONG),
    ("openai", "Qwen/QwQ-32B", LONG),
    ("openai", "meta-llama/Llama-3.3-70B-Instruct", PLAIN),
]


@pytest.mark.parametrize(("api", "model", "wanted"), TABLE)
def test_a_family_is_known_by_its_name(api: str, model: str, wanted: ReasoningSettings) -> None:
    assert settings(api, model) == wanted


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("openai/gpt-4.1", PLAIN),
        ("openai/gpt-5", nested("low")),
        ("openai/gpt-5.6", nested("none", PLAIN_TOKENS)),
        ("openai/gpt-5-chat", PLAIN),
        ("openai/o4-mini", nested("low")),
        ("openai/gpt-oss-120b", nested("low")),
        ("anthropic/claude-haiku-4.5", PLAIN),
        ("anthropic/claude-opus-4.5", PLAIN),
        ("anthropic/claude-opus-5", nested("low")),
        ("anthropic/claude-fable-5.2", nested("low")),
        ("google/gemini-2.5-flash", nested("low")),
        ("google/gemini-2.5-pro", nested("low")),
        ("google/gemini-3-flash-preview", nested("low")),
        ("google/gemini-2.0-flash-001", PLAIN),
        ("deepseek/deepseek-r1", LONG),
        ("mistralai/magistral-small", LONG),
        ("meta-llama/llama-3.3-70b-instruct", PLAIN),
    ],
)
def test_a_vendor_s_path_before_the_name_changes_nothing(
    model: str, wanted: ReasoningSettings
) -> None:
    """As on OpenRouter, whose effort stands in a table: the models are the same ones."""
    assert settings("openai", model, table="reasoning") == wanted


@pytest.mark.parametrize(
    ("model", "effort", "tokens"),
    [
        ("gpt-4.1", "high", REASONING_TOKENS),
        ("gpt-5.6", "low", REASONING_TOKENS),
        ("gpt-5", "none", PLAIN_TOKENS),
        ("my-deployment", "low", REASONING_TOKENS),
    ],
)
def test_the_configuration_s_effort_wins_and_brings_its_tokens(
    model: str, effort: str, tokens: int
) -> None:
    assert settings("openai", model, effort) == ReasoningSettings(
        tokens, {"reasoning_effort": effort}
    )


@pytest.mark.parametrize(
    ("api", "model", "said", "body"),
    [
        ("gemini", "gemini-2.5-pro", "1024", {"thinkingBudget": 1024}),
        ("gemini", "gemini-3-pro", "high", {"thinkingLevel": "high"}),
        ("gemini", "gemini-2.5-flash", "0", {"thinkingBudget": 0}),
    ],
)
def test_google_takes_a_number_or_a_word(
    api: str, model: str, said: str, body: dict[str, Any]
) -> None:
    found = settings(api, model, said).body
    assert found == {"generationConfig": {"thinkingConfig": body}}


@pytest.mark.parametrize(("said", "think"), [("none", False), ("low", "low"), ("high", "high")])
def test_ollama_takes_false_or_a_word(said: str, think: bool | str) -> None:
    assert settings("ollama", "gpt-oss", said).body == {"think": think}


@pytest.mark.parametrize("api", list(ADAPTERS))
def test_a_setting_reaches_the_request_beside_what_stands_there(api: str) -> None:
    """`thinkingConfig` must not push `maxOutputTokens` out of its table."""
    model = "claude-opus-5" if api == "bedrock" else "m"
    body = settings(api, model, "low").body
    target = Endpoint("http://h", model, extra_body=body)
    plain = json.loads(ADAPTERS[api].build(Endpoint("http://h", model), "x", 16).body)
    said = json.loads(ADAPTERS[api].build(target, "x", 16).body)
    for key, value in plain.items():
        if isinstance(value, dict):
            assert value.items() <= said[key].items()
    assert said != plain
