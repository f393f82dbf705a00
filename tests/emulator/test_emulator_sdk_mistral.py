"""Mistral's official SDK takes the emulator for the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from mistralai.client import Mistral, errors

from prober.emulator import Emulator, base_url
from tests.emulator.emulator_sdks import PROMPT, Contract, Said, fails

MESSAGES: Any = [{"role": "user", "content": PROMPT}]


def read(said: Said, content: Any) -> None:
    """A text, or the chunks of a model that reasons."""
    for chunk in content if isinstance(content, list) else []:
        said.say("thought", "".join(one.text for one in getattr(chunk, "thinking", [])))
        said.say("text", getattr(chunk, "text", None))
    said.say("text", content if isinstance(content, str) else None)


class TestMistral(Contract):
    api = "mistral"
    # It has no word for a refusal.
    stops = ("stop", "length", "stop")
    failures = (
        fails(errors.SDKError, 503, "capacity exceeded", error_share=1),
        fails(errors.SDKError, 500, "Service unavailable", error_share=1, status=500),
        fails(errors.SDKError, 429, "rate_limited", error_share=1, status=429),
        fails(errors.SDKError, 400, "invalid_request", error_share=1, status=400),
        fails(errors.SDKError, 401, "Unauthorized", auth_share=1),
        fails(errors.SDKError, 400, "Invalid model: m", model_not_found_share=1),
        fails(errors.SDKError, 403, "usage limit reached", quota_share=1),
    )
    # To the SDK an error is a chunk without choices.
    in_stream = (
        fails(errors.ResponseValidationError, None, "503", in_stream_error_share=1),
        fails(errors.ResponseValidationError, None, "429", in_stream_error_share=1, status=429),
    )

    @classmethod
    @contextmanager
    def opened(cls, url: str) -> Iterator[Mistral]:
        plain: Any = {"trust_env": False, "verify": False}
        with httpx2.Client(**plain) as http:
            other = httpx2.AsyncClient(**plain)
            yield Mistral("k", server_url=base_url(url, cls.api), client=http, async_client=other)

    @staticmethod
    def ask(client: Mistral, stream: bool) -> Said:
        said = Said()
        if not stream:
            whole = client.chat.complete(model="m", messages=MESSAGES, max_tokens=16)
            assert whole.choices[0].message is not None
            read(said, whole.choices[0].message.content)
            said.stop = whole.choices[0].finish_reason
            assert whole.usage.completion_tokens
            return said
        for event in client.chat.stream(model="m", messages=MESSAGES, max_tokens=16):
            choice = event.data.choices[0]
            read(said, choice.delta.content)
            if choice.finish_reason:
                said.stop = choice.finish_reason
                assert event.data.usage is not None
        return said

    def test_a_model_that_breaks_finishes_by_error(
        self, emulator: Emulator, client: Mistral
    ) -> None:
        emulator.set_faults(self.api, in_stream_error_share=1, status=500)
        said = self.ask(client, stream=True)
        assert (len(said.texts), said.stop) == (1, "error")

    def test_a_malformed_request_is_told_by_its_field(
        self, emulator: Emulator, client: Mistral
    ) -> None:
        with pytest.raises(errors.HTTPValidationError) as raised:
            client.chat.complete(model="m", messages=[])
        assert raised.value.status_code == 422
        assert raised.value.data.detail is not None
        assert raised.value.data.detail[0].loc == ["body", "messages"]

    def test_the_catalogue_tells_when_a_model_retires(
        self, emulator: Emulator, client: Mistral
    ) -> None:
        emulator.set_faults(self.api, "old", retires="2027-01-31")
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        listed = {model.id: model for model in client.models.list().data or []}
        old = client.models.retrieve(model_id="old")
        assert old == listed["old"]
        assert str(old.deprecation)[:10] == "2027-01-31"
        assert client.models.retrieve(model_id="new").deprecation is None
        assert "gone" not in listed
        with pytest.raises(errors.SDKError, match="Invalid model: gone"):
            client.models.retrieve(model_id="gone")
