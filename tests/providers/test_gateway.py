"""Gateways in between: their presets, and answers that are not the provider's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.canary import Canary
from prober.clock import Clock
from prober.config.loader import parse
from prober.config.vendors import vendors
from prober.probing.network import Network
from prober.probing.plans import Plan, resolve
from prober.probing.probe import probe
from prober.providers.events import Endpoint
from prober.providers.gateway import (
    ATTEMPTS,
    CACHES,
    FALLBACKS,
    PORTKEY_OPTION,
    RETRIES,
    retried,
    stand_in,
)
from prober.sample import Fault, Outcome
from tests.support.raw_server import answering, plain
from tests.support.values import STEADY

CACHED = "the gateway answered from its cache ({}); switch its cache off for canaries"
OTHER = "the gateway fell back to another target; give the canary a config with one target"


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize("value", ["HIT", "hit", "SEMANTIC HIT", " Hit ", "True", "true"])
def test_an_answer_from_a_cache_says_nothing_of_the_provider(name: str, value: str) -> None:
    assert stand_in({name: value}) == CACHED.format(name)


@pytest.mark.parametrize("name", CACHES)
@pytest.mark.parametrize(
    "value", ["MISS", "SEMANTIC MISS", "DISABLED", "REFRESH", "False", "", "0", "None"]
)
def test_an_answer_past_a_cache_is_the_provider_s_own(name: str, value: str) -> None:
    assert stand_in({name: value}) == ""


@pytest.mark.parametrize(
    ("index", "other"),
    [
        ("config", False),
        ("config.targets[0]", False),
        ("config.targets[0].targets[0]", False),
        ("config.targets[00]", False),
        ("", False),
        ("0", False),
        ("config.targets[1]", True),
        ("config.targets[10]", True),
        ("config.targets[20]", True),
        ("config.targets[0].targets[2]", True),
        ("config.targets[1].targets[0]", True),
    ],
)
def test_portkey_s_index_tells_the_first_target_from_others(index: str, other: bool) -> None:
    """Fallbacks may be nested: any step that is not the first one is another provider."""
    assert stand_in({PORTKEY_OPTION: index}) == (OTHER if other else "")


@pytest.mark.parametrize("name", FALLBACKS)
@pytest.mark.parametrize(
    ("value", "other"),
    [("1", True), (" 2 ", True), ("0", False), ("", False), ("None", False), ("9" * 500, True)],
)
def test_a_fallback_that_was_taken_is_another_provider(name: str, value: str, other: bool) -> None:
    assert stand_in({name: value}) == (OTHER if other else "")


@STEADY
@given(
    st.dictionaries(
        st.sampled_from([*CACHES, *FALLBACKS, *RETRIES, *ATTEMPTS, PORTKEY_OPTION, "x"]),
        st.text(max_size=30),
    )
)
def test_headers_of_any_shape_do_not_raise(headers: dict[str, str]) -> None:
    assert isinstance(stand_in(headers), str)
    assert retried(headers) >= 0


@pytest.mark.parametrize(
    ("headers", "times"),
    [
        ({}, 0),
        ({"x-litellm-attempted-retries": "2"}, 2),
        ({"x-litellm-attempted-retries": "0", "x-litellm-max-retries": "2"}, 0),
        ({"x-portkey-retry-attempt-count": "1"}, 1),
        ({"x-portkey-retry-attempt-count": "-1"}, 0),
        ({"x-portkey-retry-attempt-count": "none"}, 0),
        ({"x-envoy-attempt-count": "1"}, 0),
        ({"x-envoy-attempt-count": "3"}, 2),
        ({"x-envoy-attempt-count": "0"}, 0),
        ({"ngrok-aig-attempts": "2"}, 1),
        ({"x-envoy-attempt-count": "2", "x-litellm-attempted-retries": "2"}, 3),
    ],
)
def test_every_gateway_s_own_count_is_read_as_retries(headers: dict[str, str], times: int) -> None:
    """Some say how often they asked again, others how often they asked in all."""
    assert retried(headers) == times


async def test_an_answer_after_a_retry_is_good_and_says_how_many(network: Network) -> None:
    body = (
        b'data: {"choices":[{"delta":{"content":"ab12"},"finish_reason":"stop"}]}\n\n'
        b"data: [DONE]\n\n"
    )
    wire = plain(body, headers="x-litellm-attempted-retries: 2\r\n")
    async with answering(wire) as server:
        wanted = Plan("a", "openai", Endpoint(server.url, "m"))
        sample = await probe(wanted, network, Clock(), id="x", canary=Canary("ab12"))
    assert (sample.outcome, sample.retried) == (Outcome.OK, 2)


async def test_a_cached_answer_is_our_canary_s_fault_and_no_outage(network: Network) -> None:
    """Right as it is, it would hide that the provider is down."""
    body = b'data: {"choices":[{"delta":{"content":"ab12"}}]}\n\ndata: [DONE]\n\n'
    async with answering(plain(body, headers="x-portkey-cache-status: HIT\r\n")) as server:
        wanted = Plan("a", "openai", Endpoint(server.url, "m"))
        sample = await probe(wanted, network, Clock(), id="x", canary=Canary("ab12"))
    assert (sample.outcome, sample.fault) == (Outcome.BAD_REQUEST, Fault.CANARY)
    assert sample.detail == CACHED.format("x-portkey-cache-status")


# -- presets ---------------------------------------------------------------------------------------


def plan(name: str, more: str = "", model: str = "m") -> Plan:
    text = f'[[provider]]\nname = "a"\napi = "openai"\npreset = "{name}"\nmodel = "{model}"\n{more}'
    return resolve(parse(text)).plans["a"]


@pytest.mark.parametrize(
    ("name", "base_url", "field", "health"),
    [
        ("vllm", "http://127.0.0.1:8000/v1", "max_tokens", "http://127.0.0.1:8000/health"),
        ("localai", "http://127.0.0.1:8080/v1", "max_tokens", "http://127.0.0.1:8080/readyz"),
        ("llamacpp", "http://127.0.0.1:8080/v1", "max_tokens", "http://127.0.0.1:8080/health"),
        ("openrouter", "https://openrouter.ai/api/v1", "max_tokens", ""),
        ("portkey", "https://api.portkey.ai/v1", "max_completion_tokens", ""),
        ("helicone", "https://oai.helicone.ai/v1", "max_completion_tokens", ""),
        (
            "litellm",
            "http://127.0.0.1:4000/v1",
            "max_tokens",
            "http://127.0.0.1:4000/health/liveliness",
        ),
    ],
)
def test_a_preset_knows_where_and_how_its_server_is_asked(
    name: str, base_url: str, field: str, health: str
) -> None:
    target = plan(name).target
    assert (target.base_url, target.max_tokens_field) == (base_url, field)
    assert vendors().find_preset(name).health_url(base_url) == health


def test_every_preset_is_tested_above() -> None:
    assert {preset.name for preset in vendors().preset} == {
        *("vllm", "localai", "llamacpp", "openrouter", "portkey", "helicone", "litellm"),
    }


@pytest.mark.parametrize(
    ("name", "headers", "body"),
    [
        ("portkey", {"x-portkey-cache-force-refresh": "true"}, {}),
        ("helicone", {"helicone-cache-enabled": "false"}, {}),
        ("litellm", {}, {"cache": {"no-cache": True}}),
        ("openrouter", {}, {"provider": {"allow_fallbacks": False}}),
        ("vllm", {}, {}),
    ],
)
def test_a_preset_keeps_caches_and_fallbacks_out(
    name: str, headers: dict[str, str], body: dict[str, object]
) -> None:
    target = plan(name).target
    assert (dict(target.headers), dict(target.extra_body)) == (headers, body)


def test_what_the_configuration_says_has_the_last_word() -> None:
    more = (
        'base_url = "https://gw.example/v1"\nmax_tokens_field = "max_tokens"\n'
        'headers = { x-portkey-cache-force-refresh = "false", x-own = "1" }\n'
    )
    target = plan("portkey", more).target
    assert (target.base_url, target.max_tokens_field) == ("https://gw.example/v1", "max_tokens")
    assert dict(target.headers) == {"x-portkey-cache-force-refresh": "false", "x-own": "1"}
    pinned = plan("openrouter", 'extra_body = { provider = { order = ["deepinfra"] } }\n').target
    assert pinned.extra_body == {"provider": {"allow_fallbacks": False, "order": ["deepinfra"]}}


def test_openrouter_keeps_the_effort_in_a_table_of_its_own() -> None:
    target = plan("openrouter", model="openai/gpt-5").target
    assert target.extra_body["reasoning"] == {"effort": "low"}
    assert "reasoning_effort" not in target.extra_body
