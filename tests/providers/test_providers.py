"""What is asked of each API, and small readings of what they answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from prober.canary import Canary
from prober.config.schema import Price
from prober.probing.plans import Plan
from prober.providers import ADAPTERS
from prober.providers.adapter import MAX_REQUEST_ID
from prober.providers.events import (
    Endpoint,
    HttpRequest,
    count_of,
    error_object,
    merged,
    parse_json,
)
from prober.sample import Outcome
from tests.golden.frames import exception
from tests.golden.reading import read

CANARY = Canary("ab12")
KEY = "sk-very-secret-0123456789"
APIS = list(ADAPTERS)
JSON_SENT = {"content-type": "application/json"}
BEARER = {**JSON_SENT, "authorization": f"Bearer {KEY}"}
MESSAGES = [{"role": "user", "content": "ab12\nSay it."}]


def target(**changes: Any) -> Endpoint:
    return replace(Endpoint("https://h.example", "m-1", KEY), **changes)


def build(api: str, **changes: Any) -> HttpRequest:
    return ADAPTERS[api].build(target(**changes), "ab12\nSay it.", 16)


def test_anthropic_is_asked_as_documented() -> None:
    request = build("anthropic")
    assert (request.method, request.url) == ("POST", "https://h.example/v1/messages")
    assert request.headers == {
        "content-type": "application/json",
        "anthropic-version": "2023-06-01",
        "x-api-key": KEY,
    }
    assert json.loads(request.body) == {
        "model": "m-1",
        "max_tokens": 16,
        "stream": True,
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
    }


@pytest.mark.parametrize("field", ["max_completion_tokens", "max_tokens"])
def test_openai_is_asked_as_documented(field: str) -> None:
    request = build("openai", base_url="https://h.example/v1", max_tokens_field=field)
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat/completions")
    assert request.headers == {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
    }
    assert json.loads(request.body) == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
        field: 16,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("model", "path"), [("m-1", "m-1"), ("models/m-1", "m-1"), ("a/b?c", "a%2Fb%3Fc")]
)
def test_gemini_is_asked_as_documented(model: str, path: str) -> None:
    request = build("gemini", model=model)
    assert request.method == "POST"
    url = f"https://h.example/v1beta/models/{path}:streamGenerateContent?alt=sse"
    assert request.url == url
    assert request.headers == {"content-type": "application/json", "x-goog-api-key": KEY}
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "ab12\nSay it."}]}],
        "generationConfig": {"maxOutputTokens": 16},
    }


def test_ollama_is_asked_as_documented() -> None:
    request = build("ollama")
    assert (request.method, request.url) == ("POST", "https://h.example/api/chat")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.body) == {
        "model": "m-1",
        "messages": [{"role": "user", "content": "ab12\nSay it."}],
        "stream": True,
        "think": False,
        "options": {"num_predict": 16},
    }


def test_responses_is_asked_as_documented() -> None:
    request = build("openai-responses", base_url="https://h.example/v1")
    assert (request.method, request.url) == ("POST", "https://h.example/v1/responses")
    assert request.headers == BEARER
    assert json.loads(request.body) == {
        "model": "m-1",
        "input": "ab12\nSay it.",
        "max_output_tokens": 16,
        "stream": True,
        "store": False,
    }


def test_responses_are_never_asked_for_fewer_tokens_than_the_api_takes() -> None:
    request = ADAPTERS["openai-responses"].build(target(), "x", 4)
    assert json.loads(request.body)["max_output_tokens"] == 16


def test_mistral_is_asked_as_documented() -> None:
    """It refuses fields that it does not know, OpenAI's `stream_options` among them."""
    request = build("mistral")
    assert (request.method, request.url) == ("POST", "https://h.example/v1/chat/completions")
    assert request.headers == BEARER
    assert json.loads(request.body) == {
        "model": "m-1",
        "messages": MESSAGES,
        "max_tokens": 16,
        "stream": True,
    }


@pytest.mark.parametrize(
    ("base", "version", "url"),
    [
        ("https://r.openai.azure.com/openai/v1", "", "{base}/chat/completions"),
        (
            "https://r.openai.azure.com",
            "2024-10-21",
            "{base}/openai/deployments/m-1/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_azure_is_asked_as_documented_at_both_of_its_paths(
    base: str, version: str, url: str
) -> None:
    request = build("azure-openai", base_url=base, api_version=version)
    assert (request.method, request.url) == ("POST", url.format(base=base))
    assert request.headers == {**JSON_SENT, "api-key": KEY}
    said = json.loads(request.body)
    assert (said["model"], said["max_completion_tokens"], said["stream"]) == ("m-1", 16, True)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("us.anthropic.claude-haiku-4-5-v1:0", "us.anthropic.claude-haiku-4-5-v1%3A0"),
        ("arn:aws:bedrock:eu:1:profile/x", "arn%3Aaws%3Abedrock%3Aeu%3A1%3Aprofile%2Fx"),
    ],
)
def test_bedrock_is_asked_as_documented(model: str, path: str) -> None:
    request = build("bedrock", model=model)
    assert request.url == f"https://h.example/model/{path}/converse-stream"
    assert request.headers == BEARER
    assert json.loads(request.body) == {
        "messages": [{"role": "user", "content": [{"text": "ab12\nSay it."}]}],
        "inferenceConfig": {"maxTokens": 16},
    }


VERTEX = "https://h.example/v1/projects/p-1/locations/eu/publishers"


def test_gemini_on_vertex_is_asked_as_documented() -> None:
    request = build("vertex", model="gemini-3-flash", project="p-1", location="eu")
    model = f"{VERTEX}/google/models/gemini-3-flash"
    assert request.url == f"{model}:streamGenerateContent?alt=sse"
    assert request.headers == BEARER
    assert json.loads(request.body) == {
        "contents": [{"role": "user", "parts": [{"text": "ab12\nSay it."}]}],
        "generationConfig": {"maxOutputTokens": 16},
    }


def test_claude_on_vertex_is_asked_as_documented() -> None:
    """The version and not the model stands in the body, and no version in a header."""
    request = build("vertex", model="claude-haiku-4-5@20251001", project="p-1", location="eu")
    model = f"{VERTEX}/anthropic/models/claude-haiku-4-5@20251001"
    assert request.url == f"{model}:streamRawPredict"
    assert request.headers == BEARER
    assert json.loads(request.body) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 16,
        "stream": True,
        "messages": MESSAGES,
    }


@pytest.mark.parametrize("api", APIS)
def test_what_the_configuration_adds_to_the_body_is_laid_over_it(api: str) -> None:
    over = {"x": {"y": 1}, "generationConfig": {"temperature": 0}, "stream": "s"}
    said = json.loads(build(api, extra_body=over).body)
    plain = json.loads(build(api).body)
    assert said == merged(plain, over)
    assert said["generationConfig"] == {**plain.get("generationConfig", {}), "temperature": 0}


@pytest.mark.parametrize("api", APIS)
def test_without_a_key_no_key_header_is_sent(api: str) -> None:
    names = {name.lower() for name in build(api, key="").headers}
    assert names <= {"content-type", "anthropic-version"}


@pytest.mark.parametrize("api", APIS)
def test_a_provider_s_own_headers_win(api: str) -> None:
    headers = build(api, headers={"x-portkey-provider": "x", "content-type": "text/x"}).headers
    assert (headers["x-portkey-provider"], headers["content-type"]) == ("x", "text/x")


@pytest.mark.parametrize("api", APIS)
def test_the_key_is_in_no_url_no_body_and_no_repr(api: str) -> None:
    request = build(api, headers={"helicone-auth": f"Bearer {KEY}"})
    plan = Plan("a", api, target(headers={"helicone-auth": KEY}), price=Price())
    assert KEY not in request.url
    assert KEY.encode() not in request.body
    for value in (request, plan, plan.target):
        assert KEY not in repr(value)
        assert KEY not in str(value)


@pytest.mark.parametrize(
    ("api", "name"),
    [
        ("anthropic", "request-id"),
        ("openai", "x-request-id"),
        ("gemini", "x-goog-request-id"),
        ("ollama", "x-request-id"),
        ("openai-responses", "x-request-id"),
        ("mistral", "mistral-correlation-id"),
        ("azure-openai", "apim-request-id"),
        ("bedrock", "x-amzn-requestid"),
        ("vertex", "x-goog-request-id"),
    ],
)
def test_the_request_s_id_is_read_and_bounded(api: str, name: str) -> None:
    adapter = ADAPTERS[api]
    assert adapter.request_id({name: "req_1"}) == "req_1"
    assert adapter.request_id({}) is None
    assert len(adapter.request_id({name: "x" * 60_000}) or "") == MAX_REQUEST_ID


@pytest.mark.parametrize(
    ("value", "count"),
    [(7, 7), (0, 0), (True, None), ("7", None), (7.0, None), (-1, None), (10**400, None)],
)
def test_only_a_sensible_number_is_a_count(value: Any, count: int | None) -> None:
    assert count_of(value) == count


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"message": "m"}}', {"message": "m"}),
        (b'[{"error": {"message": "m"}}]', {"message": "m"}),
        (b'{"message": "m"}', {"message": "m"}),
        (b'{"error": "m"}', {"message": "m"}),
        (b"<html>\xff", {"message": "<html>\ufffd"}),
        (b'{"Message": "m"}', {"Message": "m", "message": "m"}),
        (b'{"detail": "m"}', {"detail": "m", "message": "m"}),
        (b'{"detail": [{"msg": "m"}]}', {"detail": [{"msg": "m"}], "message": "m"}),
    ],
)
def test_an_error_is_found_wherever_the_api_keeps_it(body: bytes, error: dict[str, str]) -> None:
    assert error_object(body) == error


def test_what_is_no_json_reads_as_nothing() -> None:
    assert parse_json(b"{") is None
    assert parse_json(b"\xff") is None


def test_openai_reads_what_compatible_servers_say() -> None:
    error = {"error": {"message": "credits", "code": 402}}
    transcript = read("openai", b"data: " + json.dumps(error).encode() + b"\n\n")
    assert transcript.conclude(CANARY) == (Outcome.QUOTA_EXHAUSTED, "HTTP 402 credits")
    event = b'event: error\ndata: {"message": "gone"}\n\n'
    assert read("openai", event).conclude(CANARY) == (Outcome.STREAM_ERROR, "gone")
    mistral = {"choices": [{"delta": {"content": "ab12"}, "finish_reason": "error"}]}
    stopped = read("openai", b"data: " + json.dumps(mistral).encode() + b"\n\ndata: [DONE]\n\n")
    assert stopped.conclude(CANARY)[0] is Outcome.STREAM_ERROR


def test_a_gemini_quota_of_the_day_inside_a_stream_is_the_account_s() -> None:
    violations = [{"quotaId": "GenerateRequestsPerDayPerProject"}]
    error = {
        "error": {
            "code": 429,
            "message": "quota",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"violations": violations}, "odd", {"violations": 3}, {"reason": "R"}],
        }
    }
    found = read("gemini", json.dumps(error, indent=1).encode()).conclude(CANARY)[0]
    assert found is Outcome.QUOTA_EXHAUSTED


def test_a_gemini_finish_nobody_knows_is_an_error() -> None:
    said = {"candidates": [{"finishReason": "MALFORMED"}]}
    transcript = read("gemini", b"data: " + json.dumps(said).encode() + b"\n\n")
    assert transcript.conclude(CANARY)[0] is Outcome.STREAM_ERROR


def test_bedrock_names_an_error_in_a_stream_as_in_an_answer() -> None:
    for kind, outcome in {
        "throttlingException": Outcome.RATE_LIMITED,
        "modelStreamErrorException": Outcome.STREAM_ERROR,
        "validationException": Outcome.STREAM_ERROR,
        "serviceQuotaExceededException": Outcome.QUOTA_EXHAUSTED,
    }.items():
        found, detail = read("bedrock", exception(kind, {"message": "m"})).conclude(CANARY)
        assert (found, detail) == (outcome, f"{kind[0].upper()}{kind[1:]} m")


@pytest.mark.parametrize("api", ["anthropic", "openai-responses"])
def test_an_error_event_whose_data_is_no_json_is_an_error(api: str) -> None:
    event = b"event: error\ndata: upstream connect error\n\n"
    assert read(api, event).conclude(CANARY) == (Outcome.STREAM_ERROR, "upstream connect error")


@pytest.mark.parametrize("api", ["anthropic", "openai", "openai-responses", "gemini", "mistral"])
def test_a_json_error_under_http_200_is_an_error(api: str) -> None:
    """Gateways answer so: no event, no type, one object."""
    body = b'{"error": {"message": "no such route", "code": "x"}}'
    outcome, detail = read(api, body).conclude(CANARY)
    assert (outcome, "no such route" in detail) == (Outcome.STREAM_ERROR, True)
