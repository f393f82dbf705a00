"""What vantages must have in common to add up their votes."""

from __future__ import annotations

import pytest

from prober.configfile import parse
from prober.voting import routing_hash


@pytest.fixture(autouse=True)
def _no_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)


def provider(name: str, *lines: str) -> str:
    head = f'[[provider]]\nname = "{name}"\napi = "openai"\nmodel = "m"\n'
    return head + "".join(f"{line}\n" for line in lines)


def route(*lines: str, candidates: str = '["a", "b"]') -> str:
    head = f'[[route]]\nname = "chat"\ncandidates = {candidates}\n'
    return head + "".join(f"{line}\n" for line in lines)


def hashed(text: str) -> str:
    config = parse(text)
    return routing_hash(config, config.route[0])


BASE = provider("a") + provider("b") + route()


@pytest.mark.parametrize(
    "text",
    [
        provider("a", 'key = { env = "K" }') + provider("b") + route(),
        provider("a", "[provider.canary]", 'interval = "10s"') + provider("b") + route(),
        BASE + '[daemon]\nvantage = "eu-1"\n',
        BASE + provider("c"),
        provider("a") + provider("b") + route('runbook = "https://x.example"'),
    ],
    ids=["a key", "an interval", "its name", "a provider of no route", "a runbook"],
)
def test_vantages_may_differ_in_what_does_not_judge(text: str) -> None:
    assert hashed(text) == hashed(BASE)


@pytest.mark.parametrize(
    "text",
    [
        provider("a", 'base_url = "https://x.example"') + provider("b") + route(),
        provider("a", "enabled = false") + provider("b") + route(),
        provider("b") + provider("a") + route(candidates='["b", "a"]'),
        provider("a") + provider("b") + route("[route.objectives]", "availability = 0.98"),
        provider("a") + provider("b") + route("[route.detector]", 'min_span = "9s"'),
        provider("a") + provider("b") + route("[route.failover]", 'flip_on = ["ttft"]'),
    ],
    ids=["an address", "a disabled one", "the order", "an objective", "a detector", "flip_on"],
)
def test_vantages_that_judge_otherwise_have_another_hash(text: str) -> None:
    assert hashed(text) != hashed(BASE)
