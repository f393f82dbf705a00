"""What vantages must have in common to add up their votes."""

from __future__ import annotations

import pytest

from prober.config.loader import parse
from prober.failover.voting import routing_hash, settings_of
from switch.control.votes import VantageSettings, differences


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
        provider("a", 'headers = { x-team = "eu" }') + provider("b") + route(),
    ],
    ids=["a key", "an interval", "its name", "a provider of no route", "a runbook", "a header"],
)
def test_vantages_may_differ_in_what_does_not_judge(text: str) -> None:
    assert hashed(text) == hashed(BASE)


@pytest.mark.parametrize(
    "text",
    [
        provider("a", 'base_url = "https://x.example"') + provider("b") + route(),
        provider("a", 'region = "eu-west-1"') + provider("b") + route(),
        provider("a", 'location = "europe-west1"') + provider("b") + route(),
        provider("a", "regional_endpoint = true") + provider("b") + route(),
        provider("a", "enabled = false") + provider("b") + route(),
        provider("b") + provider("a") + route(candidates='["b", "a"]'),
        provider("a") + provider("b") + route("[route.objectives]", "availability = 0.98"),
        provider("a") + provider("b") + route("[route.detector]", 'min_span = "9s"'),
        provider("a") + provider("b") + route("[route.failover]", 'flip_on = ["ttft"]'),
    ],
    ids=[
        "an address",
        "a region",
        "a location",
        "a marked one",
        "a disabled one",
        "the order",
        "an objective",
        "a detector",
        "flip_on",
    ],
)
def test_vantages_that_judge_otherwise_have_another_hash(text: str) -> None:
    assert hashed(text) != hashed(BASE)


def settings(text: str) -> VantageSettings:
    config = parse(text)
    return settings_of(config, config.route[0])


@pytest.mark.parametrize(
    "address", ['base_url = "https://eu.example"', 'region = "eu-west-1"', 'location = "eu"']
)
def test_a_regional_endpoint_may_have_another_address_everywhere(address: str) -> None:
    marked = provider("a", "regional_endpoint = true")
    here = marked + f"{address}\n" + provider("b") + route()
    there = marked + provider("b") + route()
    assert hashed(here) == hashed(there)
    assert settings(here) == settings(there)
    assert hashed(here + 'runbook = "x"\n') == hashed(there)
    another_model = here.replace('model = "m"', 'model = "n"', 1)
    assert hashed(another_model) != hashed(there), "all the rest counts"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (provider("a", 'base_url = "https://x.example"') + provider("b") + route(),
         ("a", "base_url")),
        (provider("a") + provider("b", 'account = "own"') + route(), ("b", "account")),
        (provider("a") + provider("b") + route("[route.failover]", 'flip_on = ["ttft"]'),
         ("", "failover.flip_on")),
        (provider("a") + provider("b") + route("[route.detector]", 'min_span = "9s"'),
         ("", "detector.min_span")),
    ],
)  # fmt: skip
def test_the_settings_told_name_the_key_and_tell_no_value(
    text: str, named: tuple[str, str]
) -> None:
    found = differences({"eu-1": settings(text), "us-1": settings(BASE)})
    assert [(one.provider, one.key) for one in found] == [named]
    assert "example" not in str(settings(text))


def test_what_stands_at_its_default_is_not_told() -> None:
    said = settings(BASE + '[route.failover]\nfailback = "manual"\n')
    assert said == settings(BASE)
    assert set(said) == {"", "a", "b"}
    assert set(said[""]) == {"candidates"}
