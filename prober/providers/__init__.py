"""The wire APIs, one file each: how to ask, how the answer reads. Pure: bytes in, events out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.providers import (
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

if TYPE_CHECKING:
    from prober.providers.adapter import Adapter

ADAPTERS: dict[str, Adapter] = {
    module.ADAPTER.api: module.ADAPTER
    for module in (
        anthropic,
        openai,
        openai_responses,
        gemini,
        mistral,
        ollama,
        azure_openai,
        bedrock,
        vertex,
    )
}
