"""Servers and gateways that speak OpenAI's Chat Completions, with the quirks of each. Pure.

`preset = "vllm"` beside `api = "openai"` fills in what the provider does not say itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Preset:
    """One server or gateway.

    Attributes:
        base_url: where it listens by default.
        health: the path of its own health check, from the server's root; it may look well while
            no prompt is answered, which is why there are canaries.
        max_tokens_field: how it calls the bound on an answer's length.
        headers: sent with each canary, below those of the configuration.
        extra_body: laid over the request's body, below that of the configuration.
        effort_table: "reasoning" where the effort of reasoning stands in a table of that name.
    """

    base_url: str
    health: str = ""
    max_tokens_field: str = "max_tokens"
    headers: Mapping[str, str] = field(default_factory=dict)
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    effort_table: str = ""

    def health_url(self, base_url: str) -> str:
        """Where to ask whether the server thinks itself well; empty if there is no such path."""
        parts = urlsplit(base_url)
        return f"{parts.scheme}://{parts.netloc}{self.health}" if self.health else ""


PRESETS: dict[str, Preset] = {
    "vllm": Preset("http://127.0.0.1:8000/v1", "/health"),
    "localai": Preset("http://127.0.0.1:8080/v1", "/readyz"),
    "llamacpp": Preset("http://127.0.0.1:8080/v1", "/health"),
    # Its upstream is pinned by extra_body = { provider = { order = ["…"] } }; no fallbacks then.
    "openrouter": Preset(
        "https://openrouter.ai/api/v1",
        extra_body={"provider": {"allow_fallbacks": False}},
        effort_table="reasoning",
    ),
    "portkey": Preset(
        "https://api.portkey.ai/v1",
        max_tokens_field="max_completion_tokens",
        headers={"x-portkey-cache-force-refresh": "true"},
    ),
    "helicone": Preset(
        "https://oai.helicone.ai/v1",
        max_tokens_field="max_completion_tokens",
        headers={"helicone-cache-enabled": "false"},
    ),
    "litellm": Preset(
        "http://127.0.0.1:4000/v1", "/health/liveliness", extra_body={"cache": {"no-cache": True}}
    ),
}
