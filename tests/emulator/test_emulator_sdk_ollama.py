"""Ollama's official SDK takes the emulator for the real thing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ollama

from prober.emulator import Emulator
from tests.emulator.emulator_sdks import PROMPT, Contract, Said, fails


class TestOllama(Contract):
    api = "ollama"
    # It has no word for a refusal.
    stops = ("stop", "length", "stop")
    failures = (
        fails(ollama.ResponseError, 503, "server busy", error_share=1),
        fails(ollama.ResponseError, 500, "llama runner", error_share=1, status=500),
        fails(ollama.ResponseError, 429, error_share=1, status=429),
        fails(ollama.ResponseError, 400, "invalid request", error_share=1, status=400),
        fails(ollama.ResponseError, 401, "unauthorized", auth_share=1),
        fails(ollama.ResponseError, 404, "model 'm' not found", model_not_found_share=1),
        fails(ollama.ResponseError, 429, "weekly usage limit", quota_share=1),
    )
    in_stream = (fails(ollama.ResponseError, None, "server busy", in_stream_error_share=1),)

    @classmethod
    def opened(cls, url: str) -> ollama.Client:
        return ollama.Client(host=url, trust_env=False, verify=False)

    @staticmethod
    def ask(client: ollama.Client, stream: bool) -> Said:
        said, messages = Said(), [{"role": "user", "content": PROMPT}]
        answer: Any = client.chat(model="m", messages=messages, stream=stream)
        lines: Iterable[ollama.ChatResponse] = answer if stream else [answer]
        for line in lines:
            said.say("thought", line.message.thinking)
            said.say("text", line.message.content)
            if line.done:
                said.stop = line.done_reason
                assert line.eval_count
                assert line.load_duration
        return said

    def test_the_models_and_the_version_are_listed(
        self, emulator: Emulator, client: ollama.Client
    ) -> None:
        self.ask(client, stream=False)
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        listed = [model.model for model in client.list().models]
        assert "m" in listed
        assert "gone" not in listed
