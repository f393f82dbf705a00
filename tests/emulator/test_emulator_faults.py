"""Each fault does over the wire what its name says, on every API."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from emulator_wires import KEY, WIRES, Asker

from prober.emulator import Emulator

SHORT = httpx.Timeout(10, read=0.1)


def test_a_healthy_stream_says_the_nonce_in_pieces_and_ends_with_its_marker(asker: Asker) -> None:
    response = asker.ask()
    texts = asker.texts(response.content)
    assert (response.status_code, "".join(texts)) == (200, "n0nce-42")
    assert len(texts) in (2, 3)
    assert asker.wire.marker in response.content


def test_a_healthy_answer_in_one_piece_says_the_nonce(asker: Asker) -> None:
    response = asker.ask(stream=False)
    assert response.headers["content-type"] == "application/json"
    assert asker.wire.whole_text(response.json()) == "n0nce-42"


@pytest.mark.parametrize("status", [500, 503, 529, 429, 418])
def test_an_error_has_the_status_that_was_asked_for(
    asker: Asker, emulator: Emulator, status: int
) -> None:
    emulator.set_faults(asker.api, error_share=1, status=status)
    response = asker.ask()
    assert response.status_code == status
    assert response.json()["error"]


def test_an_overloaded_api_uses_its_own_status(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(error_share=1)
    assert asker.ask().status_code == (529 if asker.api == "anthropic" else 503)


def test_an_error_inside_a_stream_follows_text_under_status_200(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, in_stream_error_share=1)
    response = asker.ask()
    assert response.status_code == 200
    assert asker.texts(response.content)
    assert b'"error"' in response.content
    assert asker.wire.marker not in response.content


def test_without_a_stream_an_error_in_it_is_an_http_error(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, in_stream_error_share=1, status=500)
    assert asker.ask(stream=False).status_code == 500


def test_a_truncated_stream_ends_in_order_without_its_marker(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, truncate_share=1)
    response = asker.ask()
    assert response.status_code == 200
    assert len(asker.texts(response.content)) == 1
    assert asker.wire.marker not in response.content
    assert response.headers["connection"] == "close"


def test_a_truncated_answer_in_one_piece_is_half_its_json(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, truncate_share=1)
    with pytest.raises(json.JSONDecodeError):
        asker.ask(stream=False).json()


@pytest.mark.parametrize("stream", [True, False])
def test_a_reset_is_a_reset(asker: Asker, emulator: Emulator, stream: bool) -> None:
    emulator.set_faults(asker.api, reset_share=1)
    with pytest.raises(httpx.ReadError, match="reset by peer"):
        asker.ask(stream=stream)


@pytest.mark.parametrize("stream", [True, False])
def test_a_hanging_api_sends_not_one_byte(asker: Asker, emulator: Emulator, stream: bool) -> None:
    emulator.set_faults(asker.api, hang_share=1)
    traced: list[str] = []
    request = asker.request(stream=stream, timeout=SHORT)
    request.extensions["trace"] = lambda name, _: traced.append(name)
    with pytest.raises(httpx.ReadTimeout):
        asker.client.send(request)
    assert "http11.receive_response_headers.failed" in traced


def test_a_stalled_stream_brings_its_first_event_and_no_more(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, stall_share=1)
    seen: list[bytes] = []
    response = asker.client.send(asker.request(timeout=httpx.Timeout(10, read=0.2)), stream=True)
    with pytest.raises(httpx.ReadTimeout):
        seen.extend(response.iter_raw())
    response.close()
    assert len(asker.events(b"".join(seen))) == 1
    assert asker.wire.marker not in b"".join(seen)


def test_a_stalled_answer_in_one_piece_stays_half(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, stall_share=1)
    with pytest.raises(httpx.ReadTimeout):
        asker.ask(stream=False, timeout=SHORT)


@pytest.mark.parametrize(("api", "stream"), [("ollama", True), ("gemini", False)])
def test_a_slow_answer_pauses_after_every_byte_and_is_whole(
    client: httpx.Client, emulator: Emulator, api: str, stream: bool
) -> None:
    emulator.set_faults(api, slow_byte_s=0.001, latency_factor=0.1)
    asker = Asker(api, client)
    began = time.monotonic()
    response = asker.ask(stream=stream)
    assert time.monotonic() - began > len(response.content) * 0.0001
    assert "".join(asker.texts(response.content)) == "n0nce-42"


def test_a_huge_answer_is_as_long_as_asked_for_and_well_formed(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, huge_bytes=300_000)
    body = asker.ask().content
    assert 300_000 <= len("".join(asker.texts(body))) < 310_000
    assert asker.wire.marker in body


def test_garbage_is_a_200_that_speaks_no_protocol(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, garbage_share=1, seed=1)
    first, second = asker.ask(), asker.ask(stream=False)
    assert (first.status_code, second.status_code) == (200, 200)
    with pytest.raises(UnicodeDecodeError):
        first.content.decode()
    assert first.content != second.content


def test_a_wrong_answer_is_well_formed_and_lacks_the_nonce(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, wrong_answer_share=1)
    body = asker.ask().content
    assert asker.texts(body)
    assert "n0nce-42" not in "".join(asker.texts(body))
    assert asker.wire.marker in body


def test_an_empty_answer_is_well_formed_and_has_no_text(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, empty_share=1)
    body = asker.ask().content
    assert asker.texts(body) == []
    assert asker.stops(body)[-1].lower() in ("end_turn", "stop")
    assert asker.wire.marker in body
    assert asker.ask(stream=False).status_code == 200


def test_an_answer_cut_by_length_has_no_text_and_says_why(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, length_share=1)
    body = asker.ask().content
    assert asker.texts(body) == []
    assert asker.stops(body)[-1].lower() in ("max_tokens", "length")
    assert asker.wire.marker in body


REFUSALS = {
    "anthropic": b'"stop_reason":"refusal"',
    "openai": b'"refusal":"I\'m sorry',
    "gemini": b'"finishReason":"SAFETY"',
    "ollama": b'"content":"I\'m sorry',
}


@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_is_said_as_the_api_says_it(
    asker: Asker, emulator: Emulator, stream: bool
) -> None:
    emulator.set_faults(asker.api, refusal_share=1)
    response = asker.ask(stream=stream)
    assert response.status_code == 200
    assert REFUSALS[asker.api] in response.content


# What each API itself says: HTTP status, and a word that names the class.
ACCOUNT: dict[str, dict[str, tuple[int, str]]] = {
    "auth_share": {
        "anthropic": (401, "authentication_error"),
        "openai": (401, "invalid_api_key"),
        "gemini": (400, "API_KEY_INVALID"),
        "ollama": (401, "unauthorized"),
    },
    "quota_share": {
        "anthropic": (429, "enforced_spend_limit_reached"),
        "openai": (429, "insufficient_quota"),
        "gemini": (429, "PerDay"),
        "ollama": (429, "usage limit"),
    },
    "model_not_found_share": {
        "anthropic": (404, "not_found_error"),
        "openai": (404, "model_not_found"),
        "gemini": (404, "NOT_FOUND"),
        "ollama": (404, "model 'm' not found"),
    },
}


@pytest.mark.parametrize("share", ACCOUNT)
def test_the_account_s_own_errors_are_each_api_s_own(
    asker: Asker, emulator: Emulator, share: str
) -> None:
    emulator.set_faults(asker.api, **{share: 1})
    status, word = ACCOUNT[share][asker.api]
    response = asker.ask()
    assert response.status_code == status
    assert word in response.text


def test_a_missing_key_is_refused_where_a_key_is_needed(asker: Asker) -> None:
    bare = {name: value for name, value in asker.wire.headers.items() if KEY not in value}
    status = {"anthropic": 401, "openai": 401, "gemini": 403, "ollama": 200}[asker.api]
    assert asker.ask(headers=bare).status_code == status


MALFORMED = [b"", b"[]", b"{}", b"{" * 2000, b"\xff", b'{"model": 1}', b'{"model": "\\ud800"}']


@pytest.mark.parametrize("content", MALFORMED)
def test_a_malformed_request_is_a_400_and_draws_no_fault(
    asker: Asker, emulator: Emulator, content: bytes
) -> None:
    emulator.set_faults(error_share=1)
    response = asker.ask(json=None, content=content)
    assert response.status_code == 400
    assert response.json()["error"]


def test_the_time_to_first_text_is_what_was_set_times_the_factor(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(asker.api, ttft_s=0.02, tokens_pause_s=0.01, latency_factor=2)
    for stream in (True, False):
        began = time.monotonic()
        asker.ask(stream=stream)
        assert time.monotonic() - began >= 0.07


def test_no_event_waits_for_the_one_before_to_be_acknowledged(
    asker: Asker, emulator: Emulator
) -> None:
    emulator.set_faults(ttft_s=0)
    began = time.monotonic()
    for _ in range(25):
        asker.ask(stream=False)
    # 40 ms each where small writes are held back, 2 ms otherwise.
    assert time.monotonic() - began < 1


def test_a_silent_answer_takes_its_time_too(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, empty_share=1, ttft_s=0.05)
    began = time.monotonic()
    asker.ask()
    assert time.monotonic() - began >= 0.04


HEADERS: dict[str, tuple[str, ...]] = {
    "anthropic": ("request-id", "anthropic-ratelimit-requests-remaining"),
    "openai": ("x-request-id", "openai-processing-ms", "x-ratelimit-reset-tokens"),
    "gemini": ("server-timing",),
    "ollama": (),
}


def test_answers_and_errors_carry_the_headers_of_their_api(
    asker: Asker, emulator: Emulator
) -> None:
    answer = asker.ask()
    emulator.set_faults(error_share=1, status=429)
    error = asker.ask()
    for name in HEADERS[asker.api]:
        assert answer.headers[name]
        assert error.headers[name]
    assert ("retry-after" in error.headers) == (asker.api in ("anthropic", "openai"))


def test_a_connection_is_kept_for_the_next_request(asker: Asker) -> None:
    opened: list[str] = []
    for _ in range(2):
        request = asker.request()
        request.extensions["trace"] = lambda name, _: opened.append(name)
        asker.client.send(request)
    assert opened.count("connection.connect_tcp.complete") == 1


def test_every_api_is_served_below_its_name_too(asker: Asker) -> None:
    path = f"/{asker.api}{asker.wire.path}"
    body: dict[str, Any] = asker.wire.body("m", "n0nce-42", True)
    response = asker.client.post(
        path, headers=asker.wire.headers, params=asker.wire.params, json=body
    )
    assert "".join(asker.texts(response.content)) == "n0nce-42"


LOOKUPS = [
    ("anthropic", "/v1/models", "data"),
    ("openai", "/v1/models", "data"),
    ("gemini", "/v1/models", "models"),
    ("gemini", "/v1beta/models", "models"),
    ("ollama", "/api/tags", "models"),
    ("ollama", "/api/version", "version"),
]


@pytest.mark.parametrize(("api", "path", "field"), LOOKUPS)
def test_lookups_look_fine_whatever_is_broken(
    client: httpx.Client, emulator: Emulator, api: str, path: str, field: str
) -> None:
    emulator.set_faults(hang_share=1)
    response = client.get(path, headers=WIRES[api].headers)
    assert response.status_code == 200
    assert response.json()[field]


@pytest.mark.parametrize(("api", "path"), [row[:2] for row in LOOKUPS[:5]])
def test_a_retired_model_is_not_listed(
    client: httpx.Client, emulator: Emulator, api: str, path: str
) -> None:
    for model in ("kept", "gone"):
        Asker(api, client).ask(model=model)
    emulator.set_faults(api, "gone", model_not_found_share=1)
    listed = client.get(path, headers=WIRES[api].headers).text
    assert "kept" in listed
    assert "gone" not in listed
    emulator.set_faults(api, model_not_found_share=1)
    assert client.get(path, headers=WIRES[api].headers).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/anthropic/v1/models", "/v1beta/models"])
def test_a_lookup_without_a_key_is_refused(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (401, 403)
