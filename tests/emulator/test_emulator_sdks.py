"""The official SDKs take the emulator for the real thing, answers and errors alike."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as google

from prober.emulator import Emulator

PROMPT = "n0nce-42 Repeat the word before this sentence."


@pytest.fixture(autouse=True)
def _no_settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "OPENAI_", "GOOGLE_", "GEMINI_", "OLLAMA_")):
            monkeypatch.delenv(name)


def ask_anthropic(url: str, stream: bool) -> list[str]:
    with anthropic.Anthropic(
        api_key="k",
        base_url=url,
        max_retries=0,
        http_client=httpx2.Client(trust_env=False, verify=False),
    ) as client:
        said: list[Any] = [{"role": "user", "content": PROMPT}]
        if not stream:
            message = client.messages.create(model="m", max_tokens=16, messages=said)
            assert message.stop_reason == "end_turn"
            assert message.usage.output_tokens > 0
            return [block.text for block in message.content if block.type == "text"]
        with client.messages.stream(model="m", max_tokens=16, messages=said) as events:
            texts = list(events.text_stream)
            final = events.get_final_message()
        assert (final.stop_reason, final.content[0].type) == ("end_turn", "text")
        assert final.usage.input_tokens > 0
        return texts


def ask_openai(url: str, stream: bool) -> list[str]:
    with openai.OpenAI(
        api_key="k",
        base_url=f"{url}/v1",
        max_retries=0,
        http_client=httpx2.Client(trust_env=False, verify=False),
    ) as client:
        said: list[Any] = [{"role": "user", "content": PROMPT}]
        if not stream:
            whole = client.chat.completions.create(model="m", messages=said)
            assert whole.choices[0].finish_reason == "stop"
            assert whole.usage is not None
            return [whole.choices[0].message.content or ""]
        chunks = list(
            client.chat.completions.create(
                model="m", messages=said, stream=True, stream_options={"include_usage": True}
            )
        )
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.completion_tokens > 0
        choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert choices[-1].finish_reason == "stop"
        return [choice.delta.content for choice in choices if choice.delta.content]


def ask_gemini(url: str, stream: bool) -> list[str]:
    options: Any = {"base_url": url, "client_args": {"trust_env": False, "verify": False}}
    with genai.Client(api_key="k", http_options=options) as client:
        if not stream:
            whole = client.models.generate_content(model="m", contents=PROMPT)
            assert whole.usage_metadata is not None
            return [whole.text or ""]
        chunks = list(client.models.generate_content_stream(model="m", contents=PROMPT))
        assert chunks[-1].candidates is not None
        assert chunks[-1].candidates[0].finish_reason == "STOP"
        return [chunk.text for chunk in chunks if chunk.text]


def ask_ollama(url: str, stream: bool) -> list[str]:
    with ollama.Client(host=url, trust_env=False, verify=False) as client:
        said = [{"role": "user", "content": PROMPT}]
        if not stream:
            whole = client.chat(model="m", messages=said)
            assert whole.done_reason == "stop"
            return [whole.message.content or ""]
        lines = list(client.chat(model="m", messages=said, stream=True))
        assert lines[-1].done
        assert lines[-1].eval_count
        return [line.message.content for line in lines if line.message.content]


Ask = Callable[[str, bool], list[str]]
SDKS: dict[str, Ask] = {
    "anthropic": ask_anthropic,
    "openai": ask_openai,
    "gemini": ask_gemini,
    "ollama": ask_ollama,
}


@pytest.mark.parametrize("api", SDKS)
def test_a_streaming_call_brings_the_nonce_in_several_pieces(emulator: Emulator, api: str) -> None:
    texts = SDKS[api](emulator.url, True)
    assert "".join(texts) == "n0nce-42"
    assert len(texts) in (2, 3)


@pytest.mark.parametrize("api", SDKS)
def test_a_call_without_streaming_brings_the_nonce(emulator: Emulator, api: str) -> None:
    assert SDKS[api](emulator.url, False) == ["n0nce-42"]


ERRORS: list[tuple[str, dict[str, Any], type[Exception], int]] = [
    ("anthropic", {"error_share": 1}, anthropic.OverloadedError, 529),
    ("anthropic", {"error_share": 1, "status": 503}, anthropic.ServiceUnavailableError, 503),
    ("anthropic", {"error_share": 1, "status": 500}, anthropic.InternalServerError, 500),
    ("anthropic", {"error_share": 1, "status": 429}, anthropic.RateLimitError, 429),
    ("anthropic", {"auth_share": 1}, anthropic.AuthenticationError, 401),
    ("anthropic", {"model_not_found_share": 1}, anthropic.NotFoundError, 404),
    ("anthropic", {"quota_share": 1}, anthropic.EnforcedSpendLimitReachedError, 429),
    ("openai", {"error_share": 1}, openai.InternalServerError, 503),
    ("openai", {"error_share": 1, "status": 500}, openai.InternalServerError, 500),
    ("openai", {"error_share": 1, "status": 429}, openai.RateLimitError, 429),
    ("openai", {"auth_share": 1}, openai.AuthenticationError, 401),
    ("openai", {"model_not_found_share": 1}, openai.NotFoundError, 404),
    ("openai", {"quota_share": 1}, openai.RateLimitError, 429),
    ("gemini", {"error_share": 1}, google.ServerError, 503),
    ("gemini", {"error_share": 1, "status": 500}, google.ServerError, 500),
    ("gemini", {"error_share": 1, "status": 429}, google.ClientError, 429),
    ("gemini", {"error_share": 1, "status": 401}, google.ClientError, 401),
    ("gemini", {"auth_share": 1}, google.ClientError, 400),
    ("gemini", {"model_not_found_share": 1}, google.ClientError, 404),
    ("gemini", {"quota_share": 1}, google.ClientError, 429),
    ("ollama", {"error_share": 1}, ollama.ResponseError, 503),
    ("ollama", {"error_share": 1, "status": 500}, ollama.ResponseError, 500),
    ("ollama", {"error_share": 1, "status": 429}, ollama.ResponseError, 429),
    ("ollama", {"auth_share": 1}, ollama.ResponseError, 401),
    ("ollama", {"model_not_found_share": 1}, ollama.ResponseError, 404),
    ("ollama", {"quota_share": 1}, ollama.ResponseError, 429),
]


def status_of(error: Any) -> int:
    return error.code if isinstance(error, google.APIError) else error.status_code


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    ("api", "faults", "error", "status"),
    ERRORS,
    ids=[f"{api}-{next(iter(faults))}-{status}" for api, faults, _, status in ERRORS],
)
def test_an_error_is_raised_as_the_sdk_names_it(
    emulator: Emulator,
    api: str,
    faults: dict[str, Any],
    error: type[Exception],
    status: int,
    stream: bool,
) -> None:
    emulator.set_faults(api, **faults)
    with pytest.raises(error) as raised:
        SDKS[api](emulator.url, stream)
    assert status_of(raised.value) == status


def test_an_error_tells_its_request_id_and_type(emulator: Emulator) -> None:
    emulator.set_faults(error_share=1)
    with pytest.raises(anthropic.OverloadedError) as overloaded:
        ask_anthropic(emulator.url, True)
    assert overloaded.value.type == "overloaded_error"
    assert (overloaded.value.request_id or "").startswith("req_")
    with pytest.raises(openai.InternalServerError) as unavailable:
        ask_openai(emulator.url, True)
    assert (unavailable.value.request_id or "").startswith("req_")


def test_a_spent_quota_differs_from_a_rate_limit(emulator: Emulator) -> None:
    emulator.set_faults(quota_share=1)
    with pytest.raises(anthropic.RateLimitError) as anthropics:
        ask_anthropic(emulator.url, True)
    assert anthropics.value.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in anthropics.value.response.headers
    with pytest.raises(openai.RateLimitError) as openais:
        ask_openai(emulator.url, True)
    assert (openais.value.type, openais.value.code) == (
        "insufficient_quota",
        "credit_balance_exhausted",
    )
    with pytest.raises(google.ClientError) as googles:
        ask_gemini(emulator.url, True)
    assert "PerDay" in str(googles.value.details)


IN_STREAM: list[tuple[str, type[Exception], str]] = [
    # The HTTP status of the stream was 200, and so the error's is not known to three of them.
    ("anthropic", anthropic.APIStatusError, "overloaded_error"),
    ("openai", openai.APIError, "overloaded"),
    ("gemini", google.ServerError, "UNAVAILABLE"),
    ("ollama", ollama.ResponseError, "server busy"),
]


@pytest.mark.parametrize(("api", "error", "words"), IN_STREAM, ids=[row[0] for row in IN_STREAM])
def test_an_error_inside_a_stream_is_raised(
    emulator: Emulator, api: str, error: type[Exception], words: str
) -> None:
    emulator.set_faults(api, in_stream_error_share=1)
    with pytest.raises(error, match=words):
        SDKS[api](emulator.url, True)


def test_the_sdks_list_the_models(emulator: Emulator) -> None:
    for ask in SDKS.values():
        ask(emulator.url, False)
    plain = httpx2.Client(trust_env=False, verify=False)
    with anthropic.Anthropic(api_key="k", base_url=emulator.url, http_client=plain) as client:
        assert "m" in [model.id for model in client.models.list()]
    plain = httpx2.Client(trust_env=False, verify=False)
    with openai.OpenAI(
        api_key="k", base_url=f"{emulator.url}/v1", http_client=plain
    ) as openai_client:
        assert "m" in [model.id for model in openai_client.models.list()]
    options: Any = {"base_url": emulator.url, "client_args": {"trust_env": False, "verify": False}}
    with genai.Client(api_key="k", http_options=options) as google_client:
        assert "models/m" in [model.name for model in google_client.models.list()]
    with ollama.Client(host=emulator.url, trust_env=False, verify=False) as ollama_client:
        assert "m" in [model.model for model in ollama_client.list().models]
