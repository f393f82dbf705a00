"""The wire APIs, one file each: how a request reads, how the answer and the errors look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prober.emulator.apis import (
    anthropic,
    azure,
    bedrock,
    gemini,
    mistral,
    ollama,
    openai,
    responses,
    vertex,
)

if TYPE_CHECKING:
    from prober.emulator.wire import EmulatedApi

# On a shared path the first API that knows the request for its own answers: openai, which takes
# any, stands behind those that a header gives away, and before mistral, which none does.
APIS: tuple[EmulatedApi, ...] = (
    anthropic.API,
    gemini.API,
    azure.API,
    openai.API,
    responses.API,
    mistral.API,
    vertex.API,
    vertex.CLAUDE,
    bedrock.API,
    ollama.API,
)
NAMES = tuple(dict.fromkeys(api.name for api in APIS))
