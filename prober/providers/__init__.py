"""The wire APIs, one file each: how to ask, how the answer reads. Pure: bytes in, events out."""

from __future__ import annotations

from prober.providers import anthropic, gemini, ollama, openai
from prober.providers.adapter import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.api: adapter
    for adapter in (anthropic.ADAPTER, openai.ADAPTER, gemini.ADAPTER, ollama.ADAPTER)
}
