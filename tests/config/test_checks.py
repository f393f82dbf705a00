"""What one table cannot know of another: refusals and warnings."""

from __future__ import annotations

import pytest

from prober.config.checks import warnings
from prober.config.costs import daily_cost_usd
from prober.config.loader import ConfigError, parse
from prober.config.schema import Config, Provider


@pytest.fixture(autouse=True)
def _no_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)


def provider(name: str, *lines: str) -> str:
    return "\n".join(
        ["[[provider]]", f'name = "{name}"', 'api = "openai"', 'model = "m"', *lines, ""]
    )


def route(*lines: str, candidates: str = '["a", "b"]') -> str:
    return "\n".join(["[[route]]", 'name = "chat"', f"candidates = {candidates}", *lines, ""])


AB = provider("a") + provider("b")
ROUTE = '[[route]] "chat": '


def refused(text: str) -> list[str]:
    try:
        parse(text, "f")
    except ConfigError as error:
        return [line.removeprefix("f: ") for line in error.problems]
    return []


REFUSALS = {
    "a provider named twice": (
        AB + provider("a") + route(),
        '[[provider]] "a": the name is given 2 times; names must differ',
    ),
    "a route named twice": (
        AB + route() + route(),
        '[[route]] "chat": the name is given 2 times; names must differ',
    ),
    "a candidate that is nobody": (
        AB + provider("gemini") + route(candidates='["a", "gemni"]'),
        ROUTE + "candidates names no [[provider]] 'gemni'; did you mean 'gemini'?",
    ),
    "a candidate like none": (
        AB + route(candidates='["a", "zzz"]'),
        ROUTE + "candidates names no [[provider]] 'zzz'; there are: a, b",
    ),
    "no provider at all": (
        route(candidates='["a"]'),
        ROUTE + "candidates names no [[provider]] 'a'; there are: none",
    ),
    "a candidate twice": (
        AB + route(candidates='["a", "a"]'),
        ROUTE + "candidates names 'a' 2 times",
    ),
    "an alert for a route that is none": (
        AB + route() + '[[alert]]\nname = "x"\nurl = { env = "X" }\nroutes = ["zzz"]',
        "[[alert]] \"x\": routes names no [[route]] 'zzz'; there are: chat",
    ),
    "a suspect interval longer than the base": (
        "[canary]\ninterval = '1s'\nsuspect_interval = '2s'\n"
        + provider("a")
        + route(candidates='["a"]'),
        '[[provider]] "a": canary.suspect_interval must not be longer than canary.interval',
    ),
    "a first text later than the end": (
        "[canary]\ntimeout = '5s'\nfirst_text_timeout = '8s'\n"
        + provider("a")
        + route(candidates='["a"]'),
        '[[provider]] "a": canary.first_text_timeout must not be longer than canary.timeout',
    ),
    "an objective upside down": (
        AB
        + route(
            "[route.objectives]",
            "availability = 0.9",
            "[route.detector]",
            "flip_bad_share = 0.15",
        ),
        ROUTE + "objectives.availability allows 10.00% bad and flip_bad_share is 15.00%; "
        "flip_bad_share must be at least twice the allowed share",
    ),
    "a latency objective upside down": (
        AB
        + route(
            "[route.objectives]",
            'ttft = { under = "3s", share = 0.7, detector = { flip_bad_share = 0.5 } }',
        ),
        ROUTE + "objectives.ttft allows 30.00% bad and flip_bad_share is 50.00%; "
        "flip_bad_share must be at least twice the allowed share",
    ),
    "a limit without its value": (
        AB + route("[route.objectives]", "ttft = { over = 3 }"),
        ROUTE + "objectives.ttft needs under",
    ),
    "a speed without its value": (
        AB + route("[route.objectives]", 'tokens_per_s = { under = "3s" }'),
        ROUTE + "objectives.tokens_per_s needs over",
    ),
    "a vantage that is not in the list": (
        '[daemon]\nvantages = ["x", "y", "z"]\n' + AB + route(),
        '[daemon]: vantage = "local" is not one of vantages; set PROBER_VANTAGE on this host',
    ),
    "an even number without a quorum": (
        '[daemon]\nvantage = "x"\nvantages = ["x", "y"]\n' + AB + route(),
        "[daemon]: 2 vantages can split evenly; write quorum = 2, or make them an odd number",
    ),
    "a quorum that is no majority": (
        '[daemon]\nvantage = "x"\nvantages = ["x", "y", "z"]\nquorum = 1\n' + AB + route(),
        "[daemon]: quorum = 1 is no majority of 3 vantages",
    ),
    "a quorum of more than there are": (
        "[daemon]\nquorum = 2\n" + AB + route(),
        "[daemon]: quorum = 2 is no majority of 1 vantages",
    ),
    "a vantage named twice": (
        '[daemon]\nvantage = "x"\nvantages = ["x", "x", "z"]\n' + AB + route(),
        "[daemon]: vantages names 'x' 2 times; each one votes once",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_work_is_refused_with_one_line(name: str) -> None:
    text, line = REFUSALS[name]
    assert refused(text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        AB + route(),
        AB + route("[route.objectives]", "availability = 0.925"),
        AB
        + route("[route.detector]", 'kind = "share"', "[route.objectives]", "availability = 0.5"),
        '[daemon]\nvantage = "x"\nvantages = ["x", "y", "z"]\nquorum = 2\n' + AB + route(),
        '[daemon]\nvantage = "x"\nvantages = ["x", "y"]\nquorum = 2\n' + AB + route(),
        "[daemon]\nquorum = 1\n" + AB + route(),
    ],
)
def test_what_can_work_is_not_refused(text: str) -> None:
    assert refused(text) == []


def priced(budget: float, *more: str, said: str = "[canary]\n") -> str:
    # 100 tokens in and 16 out: 0.000132 USD a canary, 2,880 a day at the base rate
    return (
        f"{said}daily_budget_usd = {budget}\n"
        + provider("a", "price = { input = 1.0, output = 2.0 }")
        + route(candidates='["a"]')
        + "\n".join(more)
    )


def test_a_budget_must_carry_the_base_rate_and_twenty_proofs() -> None:
    base, needed = daily_cost_usd(*_first(parse(priced(5))))
    assert base == pytest.approx(2880 * 0.000132)
    assert needed == pytest.approx(2960 * 0.000132)
    # seven tenths of the day are for the base rate
    every = "[canary]\ninterval = '30s'\n"
    assert refused(priced(0.545, said=every)) == []
    assert refused(priced(0.54, said=every)) == [
        '[[provider]] "a": canary.daily_budget_usd = 0.54 does not carry a canary every 30 s plus '
        "20 proofs; allow at least 0.54, or lengthen canary.interval"
    ]


def test_vantages_share_the_base_rate_and_two_of_three_must_afford_it() -> None:
    """Each spends its own third of the budget, and each proves for itself."""
    three = '[daemon]\nvantage = "x"\nvantages = ["x", "y", "z"]\n'
    base, needed = daily_cost_usd(*_first(parse(three + priced(5))))
    assert base == pytest.approx(1.5 * 0.38016)
    assert needed == pytest.approx(base + 3 * 80 * 0.000132)
    every = "[canary]\ninterval = '30s'\n"
    assert refused(three + priced(0.82, said=every)) == []
    assert len(refused(three + priced(0.81, said=every))) == 1


def _first(config: Config) -> tuple[Config, Provider]:
    return config, config.provider[0]


PRICE = "price = { input = 1e-6 }"
ALERT = '[[alert]]\nname = "x"\nurl = { env = "X" }\n'
REDIS = '[redis]\nurl = { env = "REDIS_URL" }\n'
CONTROLS = '[network]\ncontrols = ["https://one.example/"]\n'
WELL = REDIS + CONTROLS + ALERT


def warned(text: str) -> list[str]:
    return warnings(parse(text))


def test_a_wise_configuration_has_no_warning() -> None:
    assert warned(WELL + provider("a", PRICE) + provider("b", PRICE) + route()) == []


PRICED = provider("a", PRICE) + provider("b", PRICE)
UNWISE = {
    "two vantages": (
        '[daemon]\nvantage = "x"\nvantages = ["x", "y"]\nquorum = 2\n' + WELL + PRICED + route(),
        "[daemon]: with two vantages either one's death stops every flip",
    ),
    "no alert": (REDIS + CONTROLS + PRICED + route(), "no [[alert]]: nobody will be told"),
    "no route": (WELL + PRICED, "no [[route]]: providers are watched"),
    "no controls": (REDIS + ALERT + PRICED + route(), "[network]: no controls"),
    "an embedded server": (
        CONTROLS + ALERT + PRICED + route(),
        "[redis]: the embedded server can be reached from this machine only",
    ),
    "no price": (
        WELL + provider("a") + provider("b", PRICE) + route(),
        '[[provider]] "a": no price',
    ),
    "a key over plain http": (
        WELL
        + provider("a", PRICE, 'base_url = "http://h.example/v1"', 'key = { env = "K" }')
        + provider("b", PRICE)
        + route(),
        '[[provider]] "a": base_url is plain http; its key travels unencrypted',
    ),
    "one candidate": (WELL + PRICED + route(candidates='["a"]'), ROUTE + "one candidate"),
    "a residency that keeps somebody out": (
        WELL + provider("a", PRICE, 'residency = ["eu"]') + provider("b", PRICE)
        + route('residency = ["eu"]'),
        ROUTE + "residency keeps out b",
    ),
    "one failure domain for all": (
        WELL
        + provider("a", PRICE, 'failure_domains = ["x", "y"]')
        + provider("b", PRICE, 'failure_domains = ["x", "z"]')
        + route(),
        ROUTE + "every candidate is in failure domain x",
    ),
    "one key for all": (
        WELL
        + provider("a", PRICE, 'key = { env = "K" }')
        + provider("b", PRICE, 'key = { env = "K" }')
        + route(),
        ROUTE + "every candidate is in failure domain key:environment variable K",
    ),
    "a short penalty": (
        WELL + PRICED + route("[route.failover]", 'healthy_for = "59s"'),
        ROUTE + "failover.healthy_for under a minute invites flapping",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNWISE)
def test_what_is_legal_but_unwise_is_warned_of(name: str) -> None:
    text, start = UNWISE[name]
    lines = warned(text)
    assert len(lines) == 1, lines
    assert lines[0].startswith(start)


def test_vantages_on_embedded_servers_of_their_own_are_warned_of() -> None:
    three = '[daemon]\nvantage = "x"\nvantages = ["x", "y", "z"]\n'
    line = "[redis]: vantages vote in one Redis; each would start an embedded one of its own"
    assert line in warned(three + CONTROLS + ALERT + PRICED + route())
    assert warned(three + WELL + PRICED + route()) == []


def test_a_provider_on_this_machine_needs_neither_price_nor_controls_nor_tls() -> None:
    local = 'base_url = "http://127.0.0.1:11434/v1"'
    text = REDIS + ALERT + provider("a", local) + provider("b", local) + route()
    assert warned(text) == []


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.0.0.9", True),
        ("http://[::1]:8000/v1", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example", False),
    ],
)
def test_loopback_is_this_very_machine(url: str, loopback: bool) -> None:
    assert Provider(name="a", api="openai", model="m", base_url=url).on_loopback is loopback


def test_what_fails_together_is_what_is_named_and_the_key() -> None:
    a = Provider.model_validate(
        {
            "name": "a",
            "api": "openai",
            "model": "m",
            "failure_domains": ["x"],
            "key": {"env": "K"},
        }
    )
    assert a.domains == {"x", "key:environment variable K"}
    assert Provider(name="b", api="openai", model="m").domains == frozenset()


@pytest.mark.parametrize("port", ["0", "65536", "99999", "http"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    wanted = "its port must be a number from 1 to 65535"
    (said,) = refused(provider("a", f'base_url = "http://127.0.0.1:{port}/v1"'))
    assert wanted in said
    (said,) = refused(f'[network]\ncontrols = ["http://127.0.0.1:{port}/"]\n' + provider("a"))
    assert wanted in said


@pytest.mark.parametrize("body", ["{ stream = false }", "{ messages = [] }"])
def test_what_a_canary_says_itself_is_no_extra(body: str) -> None:
    (said,) = refused(provider("a", f"extra_body = {body}"))
    assert "is the canary's own; it asks and streams by itself" in said


@pytest.mark.parametrize(
    ("api", "url", "said"),
    [
        ("openai", "https://h.example/v1/chat/completions", 'ends in "/chat/completions"'),
        ("openai", "https://h.example", "has no path; most servers want one, as in "),
        ("openai", "https://h.example/v1", ""),
        ("anthropic", "https://h.example/v1", 'ends in "/v1"'),
        ("anthropic", "https://h.example/v1/messages", 'ends in "/v1/messages"'),
        ("anthropic", "https://h.example", ""),
        ("mistral", "https://h.example/v1", 'ends in "/v1"'),
        ("ollama", "http://127.0.0.1:11434/v1", 'ends in "/v1"'),
        ("gemini", "https://h.example/v1beta", 'ends in "/v1beta"'),
    ],
)
def test_a_base_url_with_what_is_added_anyway_is_warned_of(api: str, url: str, said: str) -> None:
    text = provider("a", f'base_url = "{url}"').replace('api = "openai"', f'api = "{api}"')
    found = [line for line in warnings(parse(text, "f")) if "base_url" in line]
    assert len(found) == bool(said)
    assert all(said in line for line in found)
