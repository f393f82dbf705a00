"""Reasoning models: what a canary must say and allow so that they answer shortly. Pure.

A model that reasons spends hidden tokens before its first visible one; cut too short it answers
nothing, which looks like an outage and is none. So each family gets the least effort that it
takes, and tokens enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN_TOKENS = 16
REASONING_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Family:
    """Models of one kind, by name.

    Attributes:
        apis: the wire APIs that serve them.
        name: what the model's name must contain, anywhere (a path before it is common).
        effort: the setting asked for unless the configuration names one; None: none is sent.
        max_tokens: what an answer may spend, hidden tokens included.
    """

    apis: tuple[str, ...]
    name: re.Pattern[str]
    effort: str | None
    max_tokens: int = REASONING_TOKENS


@dataclass(frozen=True, slots=True)
class Settings:
    max_tokens: int = PLAIN_TOKENS
    body: Mapping[str, Any] = field(default_factory=dict)


OPENAI = ("openai", "openai-responses", "azure-openai", "bedrock")
CLAUDE = ("anthropic", "bedrock", "vertex")
GOOGLE = ("gemini", "vertex")

THINKING_CLAUDE = r"claude-(fable|mythos|[a-z]+-[5-9]\b)"
THINKING_GEMINI = r"gemini-([3-9]|(pro|flash|flash-lite)-latest)"


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[/.]){pattern}", re.IGNORECASE)


# Tried from the top. What each takes: vendors' documentation and error messages, November 2026.
FAMILIES: tuple[Family, ...] = (
    Family(OPENAI, _named(r"gpt-\d+(\.\d+)?-chat"), None, PLAIN_TOKENS),
    # Its own effort is the only one that it takes.
    Family(OPENAI, _named(r"(gpt-\d+(\.\d+)?|o\d)-pro"), None),
    Family(OPENAI, _named(r"(gpt-\d+(\.\d+)?-(codex|astra)|o\d)"), "low"),
    # From 5.1 on they can be told not to reason at all.
    Family(OPENAI, _named(r"gpt-(5\.\d|[6-9])"), "none", PLAIN_TOKENS),
    Family(OPENAI, _named(r"(gpt-5|gpt-oss)"), "low"),
    # These think by themselves, and most cannot be told not to.
    Family(CLAUDE, _named(THINKING_CLAUDE), "low"),
    Family(GOOGLE, _named(r"gemini-2\.5-pro"), "128"),
    Family(GOOGLE, _named(r"gemini-2\.5"), "0", PLAIN_TOKENS),
    Family(GOOGLE, _named(THINKING_GEMINI), "low"),
    # The same behind a gateway, and Google's own door for OpenAI's API.
    Family(("openai",), _named(THINKING_CLAUDE), "low"),
    Family(("openai",), _named(rf"({THINKING_GEMINI}|gemini-2\.5)"), "low"),
    Family(("mistral",), _named(r"magistral"), None),
    Family(("ollama",), _named(r"gpt-oss"), "low"),
    Family(
        ("openai", "bedrock", "azure-openai"),
        _named(r"(deepseek-(r\d|reasoner)|qwq|qwen3.*thinking|magistral)"),
        None,
    ),
)


def settings(api: str, model: str, effort: str | None = None, table: str = "") -> Settings:
    """How to ask `model` over `api`; `effort` is the configuration's own word for it.

    `table` is the preset's, for gateways that keep the effort in a table of their own.
    """
    family = next((f for f in FAMILIES if api in f.apis and f.name.search(model)), None)
    wanted = effort or (family.effort if family else None)
    tokens = family.max_tokens if family else PLAIN_TOKENS
    if effort is not None:
        tokens = PLAIN_TOKENS if effort in ("none", "0") else REASONING_TOKENS
    return Settings(tokens, _body(api, model, wanted, table) if wanted else {})


def _body(api: str, model: str, effort: str, table: str) -> dict[str, Any]:
    claude = "claude" in model
    match api:
        case "openai-responses":
            return {"reasoning": {"effort": effort}}
        case "gemini" | "vertex" if not claude:
            digits = effort.isdigit()
            kind = {"thinkingBudget": int(effort)} if digits else {"thinkingLevel": effort}
            return {"generationConfig": {"thinkingConfig": kind}}
        case "anthropic" | "vertex":
            return {"output_config": {"effort": effort}}
        case "bedrock":
            return {"additionalModelRequestFields": _bedrock(model, effort)}
        case "ollama":
            return {"think": False if effort == "none" else effort}
        case _:
            return {table: {"effort": effort}} if table else {"reasoning_effort": effort}


def _bedrock(model: str, effort: str) -> dict[str, Any]:
    """Each family's own words, handed through: Anthropic's, OpenAI's newer and older ones."""
    if "claude" in model:
        return {"output_config": {"effort": effort}}
    if "openai." in model and "gpt-oss" not in model:
        return {"reasoning": {"effort": effort}}
    return {"reasoning_effort": effort}
