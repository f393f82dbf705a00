"""The wire APIs, one file each: how a request reads, how the answer and the errors look."""

from __future__ import annotations

from prober.emulator.apis import anthropic, gemini, ollama, openai
from prober.emulator.wire import Api

# On a shared path the first API that knows the request for its own answers: openai, which takes
# any, stands behind those that a header gives away.
APIS: dict[str, Api] = {
    api.name: api for api in (anthropic.API, gemini.API, openai.API, ollama.API)
}
