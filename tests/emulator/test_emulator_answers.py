"""What the model understands, and what can be set beside the faults."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from prober.emulator import Emulator
from prober.emulator.answer import THOUGHT
from prober.emulator.prompts import understood
from tests.emulator.emulator_wires import Asker

ECHO = "n0nce-42\nReply with exactly the first word of this message and nothing else."
SUM = "n0nce-42\nWhat is 17 + 25? Reply with the number alone, in digits."
JSON = (
    'n0nce-42\nReply with only a JSON object with two keys: "word", the first word of this '
    'message as a string, and "sum", the number 17 + 25.'
)


@pytest.mark.parametrize("stream", [True, False])
def test_arithmetic_is_answered_with_the_sum(asker: Asker, stream: bool) -> None:
    assert said(asker, SUM, stream) == "42"


@pytest.mark.parametrize("stream", [True, False])
def test_json_is_answered_with_json(asker: Asker, stream: bool) -> None:
    assert json.loads(said(asker, JSON, stream)) == {"word": "n0nce-42", "sum": 42}


@pytest.mark.parametrize("prompt", [ECHO, SUM, JSON])
def test_a_wrong_answer_is_wrong_for_every_canary(
    client: httpx.Client, emulator: Emulator, prompt: str
) -> None:
    emulator.set_faults(wrong_answer_share=1)
    answer = said(Asker("ollama", client), prompt, stream=True)
    assert "n0nce-42" not in answer
    assert "42" not in answer


OTHERS = [
    ("", "Hello."),
    ("  n0nce \n", "n0nce"),
    ("n What is 1 + 2? Reply with the number alone, in digits.", "n"),
    ("n\nWhat is 1 + x? Reply with the number alone, in digits.", "n"),
    (f"n\nWhat is 1 + {'9' * 5000}? Reply with the number alone, in digits.", "n"),
    ("n\nWhat is 1 + 2? Reply with the number alone, in digits. Or not.", "n"),
]


@pytest.mark.parametrize(("prompt", "answer"), OTHERS, ids=[prompt[:30] for prompt, _ in OTHERS])
def test_anything_else_is_answered_with_its_first_word(prompt: str, answer: str) -> None:
    assert understood(prompt) == answer


@pytest.mark.parametrize("stream", [True, False])
def test_it_says_what_it_is_told_to(asker: Asker, emulator: Emulator, stream: bool) -> None:
    emulator.set_faults(asker.api, says="Grüße, 世界")
    assert said(asker, ECHO, stream) == "Grüße, 世界"


def said(asker: Asker, prompt: str, stream: bool) -> str:
    response = asker.ask(prompt, stream=stream)
    if stream:
        return "".join(asker.texts(response.content))
    return asker.wire.whole_text(response.json())


def test_reasoning_comes_before_the_text(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, reasoning_pieces=3)
    body = asker.ask().content
    kinds = [
        kind
        for event in asker.wire.events(body)
        for kind, words in (("thought", asker.wire.thoughts), ("text", asker.wire.texts))
        if words(event)
    ]
    assert kinds == ["thought"] * 3 + ["text"] * 3
    assert asker.thoughts(body) == [THOUGHT] * 3
    assert "".join(asker.texts(body)) == "n0nce-42"
    assert asker.ended(body)


def test_reasoning_may_take_all_the_tokens(asker: Asker, emulator: Emulator) -> None:
    emulator.set_faults(asker.api, reasoning_pieces=3, length_share=1)
    body = asker.ask().content
    assert asker.thoughts(body) == [THOUGHT] * 3
    assert asker.texts(body) == []
    assert asker.ended(body)


def test_reasoning_is_part_of_the_time_to_the_first_text(
    client: httpx.Client, emulator: Emulator
) -> None:
    """A third of it before each of two thoughts, and a third before the text."""
    emulator.set_faults(reasoning_pieces=2, ttft_s=0.3)
    asker, began = Asker("ollama", client), time.monotonic()
    came: list[float] = []
    with client.stream("POST", asker.path(), json=asker.wire.body("m", ECHO, True)) as response:
        came.extend(time.monotonic() - began for _ in response.iter_lines())
    assert [came[0] >= 0.09, came[1] >= 0.19, came[2] >= 0.29] == [True] * 3


def test_comments_come_before_server_sent_events_only(asker: Asker, emulator: Emulator) -> None:
    plain = asker.ask().content
    emulator.set_faults(asker.api, comments=3)
    body = asker.ask().content
    comments = b": OPENROUTER PROCESSING\n\n" * 3
    assert body.startswith(comments) == (asker.name not in ("ollama", "bedrock"))
    assert len(asker.wire.events(body)) == len(asker.wire.events(plain))
    assert "".join(asker.texts(body)) == "n0nce-42"


def test_comments_come_before_a_stream_that_is_cut_too(
    client: httpx.Client, emulator: Emulator
) -> None:
    emulator.set_faults(comments=2, truncate_share=1)
    body = Asker("openai", client).ask().content
    assert body.count(b": OPENROUTER") == 2


# Of 50 requests and 1000 tokens a quarter is left.
LIMITS: dict[str, dict[str, str]] = {
    "anthropic": {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "12",
        "anthropic-ratelimit-tokens-limit": "1000",
        "anthropic-ratelimit-tokens-remaining": "250",
    },
    "openai": {
        "x-ratelimit-limit-requests": "50",
        "x-ratelimit-remaining-requests": "12",
        "x-ratelimit-limit-tokens": "1000",
        "x-ratelimit-remaining-tokens": "250",
    },
    "mistral": {
        "x-ratelimit-limit-req-minute": "50",
        "x-ratelimit-remaining-req-minute": "12",
        "x-ratelimit-limit-tokens-minute": "1000",
        "x-ratelimit-remaining-tokens-minute": "250",
    },
}
LIMITS["openai-responses"] = LIMITS["azure-openai"] = LIMITS["openai"]


@pytest.mark.parametrize("error_share", [0, 1])
@pytest.mark.parametrize("name", LIMITS)
def test_the_rate_limits_are_what_was_set(
    client: httpx.Client, emulator: Emulator, name: str, error_share: int
) -> None:
    asker = Asker(name, client)
    usual = asker.ask().headers
    emulator.set_faults(
        name, limit_requests=50, limit_tokens=1000, remaining_share=0.25, error_share=error_share
    )
    headers = asker.ask().headers
    assert {header: headers[header] for header in LIMITS[name]} == LIMITS[name]
    assert {header: usual[header] for header in LIMITS[name]} != LIMITS[name]


@pytest.mark.parametrize("stream", [True, False])
def test_a_gateway_tells_of_its_cache_and_of_other_targets(
    asker: Asker, emulator: Emulator, stream: bool
) -> None:
    assert gateway(asker, stream) == {}
    emulator.set_faults(asker.api, cached=True)
    assert gateway(asker, stream) == {
        "x-portkey-cache-status": "HIT",
        "x-portkey-last-used-option-index": "config.targets[0]",
        "x-portkey-retry-attempt-count": "0",
        "helicone-cache": "HIT",
    }
    emulator.set_faults(asker.api, fell_back=True)
    assert gateway(asker, stream) == {
        "x-portkey-cache-status": "MISS",
        "x-portkey-last-used-option-index": "config.targets[1]",
        "x-portkey-retry-attempt-count": "1",
        "helicone-cache": "MISS",
    }


def gateway(asker: Asker, stream: bool) -> dict[str, str]:
    headers = asker.ask(stream=stream).headers
    told = ("x-portkey-", "helicone-")
    return {name: value for name, value in headers.items() if name.startswith(told)}


@pytest.mark.parametrize("stream", [True, False])
def test_a_redirect_leads_where_it_was_told_to(
    asker: Asker, emulator: Emulator, stream: bool
) -> None:
    elsewhere = f"{emulator.url}/elsewhere?a=b"
    emulator.set_faults(asker.api, redirect_to=elsewhere, error_share=1)
    response = asker.ask(stream=stream)
    assert (response.status_code, response.content) == (307, b"")
    assert response.headers["location"] == elsewhere
    assert emulator.requests().last[-1].status == 307


BAD: list[tuple[dict[str, Any], str]] = [
    ({"reasoning_pieces": -1}, "a whole number from 0 to 1000"),
    ({"comments": 1.5}, "a whole number from 0 to 1000"),
    ({"says": "\ud800"}, "a text of at most 100000 characters"),
    ({"says": "x" * 100_001}, "a text of at most 100000 characters"),
    ({"limit_requests": 0.5}, "a whole number from 0 to 1000000000, or null"),
    ({"limit_tokens": True}, "a whole number from 0 to 1000000000, or null"),
    ({"remaining_share": 1.01}, "a number from 0 to 1"),
    ({"retires": "20270131"}, 'a date like "2027-01-31", or empty'),
    ({"retires": "2027-02-30"}, 'a date like "2027-01-31", or empty'),
    ({"retires": None}, 'a date like "2027-01-31", or empty'),
    ({"cached": 1}, "true or false"),
    ({"fell_back": "yes"}, "true or false"),
    ({"redirect_to": "/elsewhere"}, "an http or https URL, or empty"),
    ({"redirect_to": "http://x/\r\nset-cookie: a"}, "an http or https URL, or empty"),
]


@pytest.mark.parametrize(("setting", "must"), BAD, ids=[str(one)[:40] for one, _ in BAD])
def test_a_bad_setting_is_refused(emulator: Emulator, setting: dict[str, Any], must: str) -> None:
    (name,) = setting
    with pytest.raises(ValueError, match=f"^{name} is ") as refused:
        emulator.set_faults(**setting)
    assert str(refused.value).endswith(f"it must be {must}")
