"""Every API says what is wrong in its own words: statuses, codes, headers."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest

from prober.emulator import Emulator
from tests.emulator.emulator_wires import KEY, Asker


@dataclass(frozen=True)
class Words:
    """What an API itself says: an HTTP status and a word that names the class, header or field.

    Attributes:
        waits: whether a rate limit says for how long.
    """

    overloaded: int
    no_key: int
    auth: tuple[int, str]
    quota: tuple[int, str]
    model_not_found: tuple[int, str]
    refusal: bytes
    headers: tuple[str, ...] = ()
    waits: bool = False


OPENAI = Words(
    overloaded=503,
    no_key=401,
    auth=(401, "invalid_api_key"),
    quota=(429, "insufficient_quota"),
    model_not_found=(404, "model_not_found"),
    refusal=b'"refusal":"I\'m sorry',
    headers=("x-request-id", "openai-processing-ms", "x-ratelimit-reset-tokens"),
    waits=True,
)
WORDS = {
    "anthropic": Words(
        overloaded=529,
        no_key=401,
        auth=(401, "authentication_error"),
        quota=(429, "enforced_spend_limit_reached"),
        model_not_found=(404, "not_found_error"),
        refusal=b'"stop_reason":"refusal"',
        headers=("request-id", "anthropic-ratelimit-requests-remaining"),
        waits=True,
    ),
    "openai": OPENAI,
    "openai-responses": OPENAI,
    "mistral": Words(
        overloaded=503,
        no_key=401,
        auth=(401, "Unauthorized"),
        quota=(403, "usage limit reached"),
        model_not_found=(400, "invalid_model"),
        refusal=b'"content":"I\'m sorry',
        headers=("mistral-correlation-id", "x-ratelimit-remaining-req-minute"),
    ),
    "azure-openai": Words(
        overloaded=503,
        no_key=401,
        auth=(401, "invalid subscription key"),
        quota=(429, "insufficient_quota"),
        model_not_found=(404, "DeploymentNotFound"),
        refusal=b'"finish_reason":"content_filter"',
        headers=("apim-request-id", "x-ratelimit-remaining-tokens"),
        waits=True,
    ),
    "gemini": Words(
        overloaded=503,
        no_key=403,
        auth=(400, "API_KEY_INVALID"),
        quota=(429, "PerDay"),
        model_not_found=(404, "NOT_FOUND"),
        refusal=b'"finishReason":"SAFETY"',
        headers=("server-timing",),
    ),
    "vertex": Words(
        overloaded=503,
        no_key=401,
        auth=(401, "UNAUTHENTICATED"),
        quota=(403, "BILLING_DISABLED"),
        model_not_found=(404, "NOT_FOUND"),
        refusal=b'"finishReason":"SAFETY"',
    ),
    "vertex-claude": Words(
        overloaded=529,
        no_key=401,
        auth=(401, "UNAUTHENTICATED"),
        quota=(403, "BILLING_DISABLED"),
        model_not_found=(404, "publishers/anthropic/models/m"),
        refusal=b'"stop_reason":"refusal"',
    ),
    "bedrock": Words(
        overloaded=503,
        no_key=403,
        auth=(403, "security token"),
        quota=(429, "tokens per day"),
        model_not_found=(404, "end of its life"),
        refusal=b'"stopReason":"guardrail_intervened"',
        headers=("x-amzn-requestid",),
    ),
    "ollama": Words(
        overloaded=503,
        no_key=200,
        auth=(401, "unauthorized"),
        quota=(429, "usage limit"),
        model_not_found=(404, "model 'm' not found"),
        refusal=b'"content":"I\'m sorry',
    ),
}


def test_an_overloaded_api_uses_its_own_status(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(error_share=1)
    assert asker.ask().status_code == WORDS[asker.name].overloaded


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_is_said_as_the_api_says_it(
    asker: Asker, emulator: Emulator, stream: bool
) -> None:
    emulator.set_faults(asker.api, refusal_share=1)
    response = asker.ask(stream=stream)
    assert response.status_code == 200
    assert WORDS[asker.name].refusal in response.content


@pytest.mark.parametrize("kind", ["auth", "quota", "model_not_found"])
def test_the_account_s_own_errors_are_each_api_s_own(
    asker: Asker, emulator: Emulator, kind: str
) -> None:
    emulator.set_faults(asker.api, **{f"{kind}_share": 1})
    status, word = getattr(WORDS[asker.name], kind)
    response = asker.ask()
    assert response.status_code == status
    assert word in response.text


def test_a_missing_key_is_refused_where_a_key_is_needed(asker: Asker) -> None:
    bare = {name: value for name, value in asker.wire.headers.items() if KEY not in value}
    assert asker.ask(headers=bare).status_code == WORDS[asker.name].no_key


def test_answers_and_errors_carry_the_headers_of_their_api(
    asker: Asker, emulator: Emulator
) -> None:
    answer = asker.ask()
    emulator.set_faults(error_share=1, status=429)
    error = asker.ask()
    for name in WORDS[asker.name].headers:
        assert answer.headers[name]
        assert error.headers[name]
    assert ("retry-after" in error.headers) == WORDS[asker.name].waits


# What a client gets wrong that knows another API of the family, and what it is told.
STRANGE = [
    ("mistral", {"stream_options": {}}, "stream_options"),
    ("mistral", {"max_completion_tokens": 16}, "max_completion_tokens"),
    ("openai-responses", {"max_output_tokens": 15}, ">= 16"),
    ("vertex-claude", {"model": "m"}, "model: Extra inputs"),
    ("vertex-claude", {"anthropic_version": None}, "anthropic_version"),
]


@pytest.mark.parametrize(("name", "fields", "word"), STRANGE)
def test_a_field_of_another_api_is_refused(
    client: httpx.Client, name: str, fields: dict[str, object], word: str
) -> None:
    asker = Asker(name, client)
    response = asker.ask(json={**asker.wire.body("m", "n0nce-42", True), **fields})
    assert response.status_code == asker.wire.bad_request
    assert word in response.text


def test_a_deployment_of_azure_needs_the_version_of_the_api(client: httpx.Client) -> None:
    asker = Asker("azure-openai", client)
    path = "/openai/deployments/d/chat/completions"
    assert asker.ask(url=path).status_code == 400
    versioned = asker.ask(url=path, params={"api-version": "2024-10-21"})
    assert "".join(asker.texts(versioned.content)) == "n0nce-42"
    assert asker.wire.events(versioned.content)[0]["choices"] == []


def test_the_key_tells_azure_from_openai_where_their_paths_meet(
    client: httpx.Client, emulator: Emulator
) -> None:
    for name in ("azure-openai", "openai"):
        Asker(name, client).ask(url="/openai/v1/chat/completions")
        assert emulator.requests().last[-1].api == name


@pytest.mark.parametrize("name", ["vertex", "bedrock", "gemini"])
def test_an_unknown_operation_is_refused(client: httpx.Client, name: str) -> None:
    asker = Asker(name, client)
    path = (
        asker.path().replace("streamGenerateContent", "dance").replace("converse-stream", "dance")
    )
    response = asker.ask(url=path)
    assert response.status_code == 400
    assert "dance" in response.text


@pytest.mark.parametrize("credentials", ["AWS4-HMAC-SHA256 Credential=a", "Basic abc", "Bearer"])
def test_what_is_no_signature_and_no_token_is_no_key_to_bedrock(
    client: httpx.Client, credentials: str
) -> None:
    response = Asker("bedrock", client).ask(headers={"authorization": credentials})
    assert response.status_code == 403
    assert response.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
