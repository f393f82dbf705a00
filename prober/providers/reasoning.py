"""Reasoning models: what a canary must say and allow so that they answer shortly. Pure.

A model that reasons spends hidden tokens before its first visible one; cut too short it answers
nothing, which looks like an outage and is none. So each family gets the least effort that it
takes, and tokens enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prober.config.vendors import PLAIN_TOKENS, vendors


@dataclass(frozen=True, slots=True)
class ReasoningSettings:
    max_tokens: int = PLAIN_TOKENS
    body: Mapping[str, Any] = field(default_factory=dict)


def settings(api: str, model: str, effort: str | None = None, table: str = "") -> ReasoningSettings:
    """How to ask `model` over `api`; `effort` is the configuration's own word for it.

    `table` is the preset's, for gateways that keep the effort in a table of their own.
    """
    family = vendors().find_family(api, model)
    wanted = effort or (family.effort if family else None)
    tokens = vendors().max_tokens(api, model, effort)
    return ReasoningSettings(tokens, _body(api, model, wanted, table) if wanted else {})


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
