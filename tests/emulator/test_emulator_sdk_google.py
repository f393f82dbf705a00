"""Google's official SDK takes the emulator for the real thing, at both of its doors."""

from __future__ import annotations

from typing import Any

import pytest
from google import genai
from google.auth.credentials import Credentials
from google.genai import errors

from prober.emulator import Emulator, base_url
from tests.emulator.emulator_sdks import PROMPT, Contract, Said, fails


def ask(client: genai.Client, stream: bool) -> Said:
    said = Said()
    models = client.models
    chunks: Any = (
        models.generate_content_stream(model="m", contents=PROMPT)
        if stream
        else [models.generate_content(model="m", contents=PROMPT)]
    )
    for chunk in chunks:
        candidate = chunk.candidates[0]
        for part in (candidate.content.parts if candidate.content else None) or []:
            said.say("thought" if part.thought else "text", part.text)
        if candidate.finish_reason:
            said.stop = candidate.finish_reason.value
            spent = chunk.usage_metadata
            assert (spent.candidates_token_count or 0) + (spent.thoughts_token_count or 0) > 0
    return said


class Google(Contract):
    stops = ("STOP", "MAX_TOKENS", "SAFETY")
    refusal = ("", "")
    in_stream = (fails(errors.ServerError, None, "UNAVAILABLE", in_stream_error_share=1),)
    ask = staticmethod(ask)

    @staticmethod
    def status(error: Any) -> int:
        return int(error.code)


class TestGemini(Google):
    api = "gemini"
    failures = (
        fails(errors.ServerError, 503, "UNAVAILABLE", error_share=1),
        fails(errors.ServerError, 500, "INTERNAL", error_share=1, status=500),
        fails(errors.ClientError, 429, "PerMinute", error_share=1, status=429),
        fails(errors.ClientError, 401, "UNAUTHENTICATED", error_share=1, status=401),
        fails(errors.ClientError, 400, "INVALID_ARGUMENT", error_share=1, status=400),
        fails(errors.ClientError, 400, "API_KEY_INVALID", auth_share=1),
        fails(errors.ClientError, 404, "NOT_FOUND", model_not_found_share=1),
        fails(errors.ClientError, 429, "PerDay", quota_share=1),
    )

    @classmethod
    def opened(cls, url: str) -> genai.Client:
        return genai.Client(api_key="k", http_options=options(base_url(url, cls.api)))

    def test_a_retired_model_is_missing_from_the_catalogue(
        self, emulator: Emulator, client: genai.Client
    ) -> None:
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        ask(client, stream=False)
        listed = [model.name for model in client.models.list()]
        assert "models/m" in listed
        assert "models/gone" not in listed
        assert client.models.get(model="m").name == "models/m"
        with pytest.raises(errors.ClientError, match="NOT_FOUND"):
            client.models.get(model="gone")


class Token(Credentials):
    """Never expires, so nobody is asked for another."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "t"

    def refresh(self, request: Any) -> None:
        raise AssertionError("the token is good")


class TestVertex(Google):
    api = "vertex"
    failures = (
        fails(errors.ServerError, 503, "UNAVAILABLE", error_share=1),
        fails(errors.ServerError, 500, "INTERNAL", error_share=1, status=500),
        fails(errors.ClientError, 429, "Resource exhausted", error_share=1, status=429),
        fails(errors.ClientError, 400, "INVALID_ARGUMENT", error_share=1, status=400),
        fails(errors.ClientError, 401, "UNAUTHENTICATED", auth_share=1),
        fails(errors.ClientError, 404, "Publisher Model", model_not_found_share=1),
        fails(errors.ClientError, 403, "BILLING_DISABLED", quota_share=1),
    )

    @classmethod
    def opened(cls, url: str) -> genai.Client:
        return genai.Client(
            vertexai=True,
            project="p",
            location="europe-west1",
            credentials=Token(),
            http_options=options(url),
        )

    def test_a_retired_model_is_missing_from_the_catalogue(
        self, emulator: Emulator, client: genai.Client
    ) -> None:
        emulator.set_faults(self.api, "gone", model_not_found_share=1)
        ask(client, stream=False)
        listed = [model.name for model in client.models.list()]
        assert "publishers/google/models/m" in listed
        assert "publishers/google/models/gone" not in listed
        assert client.models.get(model="m").name == "publishers/google/models/m"
        with pytest.raises(errors.ClientError, match="NOT_FOUND"):
            client.models.get(model="gone")


def options(url: str) -> Any:
    return {"base_url": url, "client_args": {"trust_env": False, "verify": False}}
