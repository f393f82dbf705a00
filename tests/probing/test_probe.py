"""One canary over real sockets: every fault to its outcome, for every API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from prober.clock import Clock
from prober.config.redact import Scrubber
from prober.config.schema import Price
from prober.emulator import Emulator, base_url
from prober.probing.network import Network
from prober.probing.plans import Plan, cost_usd
from prober.probing.probe import probe
from prober.providers import ADAPTERS
from prober.providers.events import Endpoint
from prober.sample import Fault, Outcome, Sample, Tokens
from tests.support.values import StillClock

APIS = list(ADAPTERS)
KEY = "sk-very-secret-0123456789"


def plan(api: str, base: str, **changes: Any) -> Plan:
    target = Endpoint(base_url(base, api), "m-1", KEY, project="p", location="l", region="r")
    values: dict[str, Any] = {
        "target": target,
        "first_text_timeout_s": 5.0,
        "timeout_s": 5.0,
        "price": Price(input=1.0, output=2.0),
    }
    return Plan("a", api, **{**values, **changes})


@dataclass(frozen=True)
class Prober:
    """Probes the emulator."""

    api: str
    emulator: Emulator
    network: Network

    async def __call__(self, clock: Clock | None = None, **changes: Any) -> Sample:
        wanted = plan(self.api, self.emulator.url, **changes)
        return await probe(wanted, self.network, clock or Clock(), id="x")


@pytest.fixture(params=APIS)
def prober(request: pytest.FixtureRequest, emulator: Emulator, network: Network) -> Prober:
    return Prober(request.param, emulator, network)


async def test_a_good_canary_has_its_phases_in_order(prober: Prober) -> None:
    sample = await prober()
    phases = sample.phases
    assert (sample.outcome, sample.detail, sample.http_status) == (Outcome.OK, "", 200)
    times = [
        phases.connect_s,
        phases.first_byte_s,
        phases.first_event_s,
        phases.first_text_s,
        phases.total_s,
    ]
    known = [time for time in times if time is not None]
    assert known == sorted(times, key=lambda time: time or 0)
    assert known[0] >= 0
    assert phases.tls_s is None
    assert sample.new_connection


async def test_a_good_canary_says_what_it_cost(prober: Prober) -> None:
    sample = await prober()
    tokens = sample.tokens
    assert tokens.input
    assert tokens.output
    assert sample.cost_usd == pytest.approx((tokens.input + 2 * tokens.output) / 1e6)


async def test_a_sample_carries_what_it_was_asked_for(emulator: Emulator, network: Network) -> None:
    sample = await probe(
        plan("openai", emulator.url),
        network,
        StillClock(),
        id="id-1",
        vantage="eu-1",
        base_rate=False,
    )
    assert (sample.id, sample.provider, sample.vantage) == ("id-1", "a", "eu-1")
    assert (sample.model, sample.base_rate, sample.started_s) == ("m-1", False, 100.0)
    assert sample.started_at == StillClock().now()
    assert sample.request_id


async def test_a_kept_connection_says_that_it_was_not_new(prober: Prober) -> None:
    first, second = await prober(), await prober()
    assert (first.new_connection, second.new_connection) == (True, False)
    assert first.phases.connect_s is not None
    assert second.phases.connect_s is None
    assert second.outcome is Outcome.OK


FAULTS: list[tuple[dict[str, Any], Outcome]] = [
    ({"error_share": 1}, Outcome.OVERLOADED),
    ({"error_share": 1, "status": 500}, Outcome.SERVER_ERROR),
    ({"error_share": 1, "status": 429}, Outcome.RATE_LIMITED),
    ({"auth_share": 1}, Outcome.AUTH),
    ({"quota_share": 1}, Outcome.QUOTA_EXHAUSTED),
    ({"model_not_found_share": 1}, Outcome.MODEL_NOT_FOUND),
    ({"in_stream_error_share": 1}, Outcome.STREAM_ERROR),
    ({"truncate_share": 1}, Outcome.STREAM_TRUNCATED),
    ({"reset_share": 1}, Outcome.RESET),
    ({"empty_share": 1}, Outcome.EMPTY_COMPLETION),
    ({"wrong_answer_share": 1}, Outcome.WRONG_ANSWER),
    ({"length_share": 1}, Outcome.BUDGET_TOO_SMALL),
    ({"half_share": 1}, Outcome.STREAM_TRUNCATED),
    ({"half_share": 1, "thinks_aloud": True}, Outcome.STREAM_TRUNCATED),
]


@pytest.mark.parametrize(("faults", "outcome"), FAULTS, ids=lambda value: str(value))
async def test_each_fault_has_its_outcome(
    prober: Prober, emulator: Emulator, faults: dict[str, Any], outcome: Outcome
) -> None:
    emulator.set_faults(prober.api, **{"ttft_s": 0.001, **faults})
    sample = await prober()
    assert sample.outcome is outcome
    assert sample.detail


async def test_reasoning_in_the_text_is_seen_as_such(prober: Prober, emulator: Emulator) -> None:
    emulator.set_faults(prober.api, thinks_aloud=True)
    sample = await prober()
    assert sample.outcome is Outcome.OK
    assert sample.phases.first_reasoning_s is not None


async def test_a_refusal_is_told_from_a_wrong_answer_where_the_api_says_so(
    prober: Prober, emulator: Emulator
) -> None:
    emulator.set_faults(prober.api, refusal_share=1, ttft_s=0.001)
    said = Outcome.WRONG_ANSWER if prober.api in ("ollama", "mistral") else Outcome.REFUSAL
    assert (await prober()).outcome is said


async def test_a_hang_without_one_byte_may_be_our_own_network_s(
    prober: Prober, emulator: Emulator
) -> None:
    emulator.set_faults(prober.api, hang_share=1)
    sample = await prober(first_text_timeout_s=0.3)
    assert (sample.outcome, sample.fault) == (Outcome.TIMEOUT_FIRST_TEXT, Fault.PATH)
    assert sample.detail == "no first text in 0.3 s"
    assert sample.cost_usd > 0, "it was sent, and may be billed"


async def test_a_stall_after_the_first_event_is_the_provider_s(
    prober: Prober, emulator: Emulator
) -> None:
    emulator.set_faults(prober.api, stall_share=1, ttft_s=0.001)
    sample = await prober(first_text_timeout_s=0.6, timeout_s=0.6)
    text_came = prober.api in ("gemini", "vertex", "ollama")
    assert sample.outcome is (Outcome.TIMEOUT_TOTAL if text_came else Outcome.TIMEOUT_FIRST_TEXT)
    assert sample.fault is Fault.PROVIDER
    # what nobody counted is taken for the worst
    assert sample.cost_usd > 0


@pytest.mark.parametrize("faults", [{"slow_byte_s": 0.02}, {"ttft_s": 30}], ids=str)
async def test_a_provider_that_dawdles_is_ended_by_the_deadline(
    prober: Prober, emulator: Emulator, faults: dict[str, Any]
) -> None:
    emulator.set_faults(prober.api, **faults)
    sample = await prober(first_text_timeout_s=0.3, timeout_s=0.3)
    assert sample.outcome in (Outcome.TIMEOUT_FIRST_TEXT, Outcome.TIMEOUT_TOTAL)


@pytest.mark.parametrize("api", ["gemini", "ollama"])
async def test_slow_bytes_are_read_to_the_end_when_there_is_time(
    emulator: Emulator, network: Network, api: str
) -> None:
    emulator.set_faults(api, slow_byte_s=0.00001, ttft_s=0.001)
    sample = await Prober(api, emulator, network)(first_text_timeout_s=30, timeout_s=30)
    assert sample.outcome is Outcome.OK


async def test_after_the_first_text_the_whole_answer_has_its_own_deadline(
    emulator: Emulator, network: Network
) -> None:
    emulator.set_faults("openai", ttft_s=0.001, tokens_pause_s=0.6)
    sample = await Prober("openai", emulator, network)(first_text_timeout_s=1.0, timeout_s=30)
    assert sample.outcome is Outcome.OK


async def test_garbage_is_no_answer(prober: Prober, emulator: Emulator) -> None:
    emulator.set_faults(prober.api, garbage_share=1, seed=1, ttft_s=0.001)
    sample = await prober()
    assert sample.outcome in (Outcome.STREAM_ERROR, Outcome.STREAM_TRUNCATED)


async def test_a_huge_answer_is_cut_at_the_limit(prober: Prober, emulator: Emulator) -> None:
    emulator.set_faults(prober.api, huge_bytes=5_000_000, ttft_s=0.001)
    sample = await prober(max_bytes=100_000)
    assert (sample.outcome, sample.detail) == (Outcome.STREAM_ERROR, "more than 100000 bytes")


async def test_what_a_provider_says_goes_through_the_scrubber(
    emulator: Emulator, network: Network
) -> None:
    emulator.set_faults("ollama", model_not_found_share=1)
    target = Endpoint(emulator.url, "name-with-a-secret", KEY)
    sample = await probe(
        plan("ollama", emulator.url, target=target),
        network,
        Clock(),
        id="x",
        scrub=Scrubber(["name-with-a-secret"]),
    )
    assert re.search(r"model '\*\*\*' not found", sample.detail)


def test_counts_that_nobody_gave_are_free() -> None:
    assert cost_usd(Tokens(), Price(input=1, output=1)) == 0
    assert cost_usd(Tokens(output=1_000_000), Price(input=1, output=3)) == 3


def test_the_worst_cost_is_a_short_prompt_and_every_allowed_token() -> None:
    wanted = plan("openai", "http://h", max_tokens=500)
    assert wanted.worst_cost_usd == pytest.approx((100 + 2 * 500) / 1e6)
