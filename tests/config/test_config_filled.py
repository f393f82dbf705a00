"""What a file does not say: defaults, the environment, and the whole written out again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prober.config.loader import ConfigError, effective, parse
from tests.support.files import CHAT, GOOD, SECRET, A, B


@pytest.fixture(autouse=True)
def _no_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        parse(text, "f")
    lines = refused.value.problems
    assert str(refused.value) == "\n".join(lines)
    assert all(line.startswith("f: ") for line in lines)
    return [line.removeprefix("f: ") for line in lines]


def problem(text: str) -> str:
    lines = problems(text)
    assert len(lines) == 1, lines
    return lines[0]


# -- defaults --------------------------------------------------------------------------------------


def test_an_empty_file_is_all_defaults() -> None:
    config = parse("")
    assert (config.daemon.vantage, config.redis.embedded) == ("local", True)
    assert config.database.url == "sqlite:///prober.db"
    assert (config.find_provider("a"), config.find_route("chat")) == (None, None)


def test_a_provider_s_canary_overrides_key_by_key() -> None:
    config = parse(
        "[canary]\ninterval = '1m'\nmax_tokens = 32\n" + A + "[provider.canary]\nmax_tokens = 512\n"
    )
    a = config.find_provider("a")
    assert a is not None
    assert a.canary.interval == timedelta(minutes=1)
    assert a.canary.max_tokens == 512
    assert a.canary.timeout == timedelta(seconds=20)


DEFAULTS = """
[defaults]
mode = "propose"
account = "own"
residency = ["eu"]
[defaults.objectives]
availability = 0.98
ttft = { under = "2s" }
[defaults.detector]
evidence = 9.0
min_span = "20s"
[defaults.failover]
max_flips = 5
"""


def test_defaults_fill_in_what_a_route_does_not_say() -> None:
    config = parse(
        DEFAULTS + GOOD + "[route.objectives]\nquality = 0.9\n[route.detector]\nevidence = 8"
    )
    route, a = config.find_route("chat"), config.find_provider("a")
    assert route is not None
    assert a is not None
    assert (route.mode, route.residency, a.account, a.residency) == (
        "propose",
        ("eu",),
        "own",
        ("eu",),
    )
    assert route.objectives.availability == 0.98
    assert route.objectives.quality == 0.9
    assert route.objectives.ttft is not None
    assert route.objectives.ttft.under == timedelta(seconds=2)
    assert (route.detector.evidence, route.detector.min_span) == (8.0, timedelta(seconds=20))
    assert (route.failover.max_flips, route.failover.failback) == (5, "manual")


def test_what_a_route_or_provider_says_itself_stays() -> None:
    own = A + 'account = "shared"\nresidency = ["us"]\nvendor = "me"' + B + CHAT + 'mode = "auto"'
    config = parse(DEFAULTS + own)
    a, b, route = config.find_provider("a"), config.find_provider("b"), config.find_route("chat")
    assert a is not None
    assert b is not None
    assert route is not None
    assert (a.account, a.residency, a.vendor, b.vendor) == ("shared", ("us",), "me", "openai")
    assert route.mode == "auto"


def test_a_provider_has_its_api_s_address_unless_it_says_another() -> None:
    config = parse(A + B + 'base_url = "https://h.example/v1/"')
    a, b = config.find_provider("a"), config.find_provider("b")
    assert a is not None
    assert b is not None
    assert (a.url, b.url) == ("https://api.anthropic.com", "https://h.example/v1")


def test_an_alert_wants_everything_unless_it_names_something() -> None:
    text = '[[alert]]\nname = "x"\nurl = { env = "X" }\n'
    every = parse(GOOD + text).alert[0]
    some = parse(GOOD + text + 'events = ["blind", "breach"]\nroutes = ["chat"]').alert[0]
    assert every.wants("breach", "chat")
    assert some.wants("breach", "chat")
    assert some.wants("blind", "")
    assert not some.wants("recovery", "chat")
    assert not some.wants("breach", "other")


# -- the vantage's own name ------------------------------------------------------------------------

VANTAGES = '[daemon]\nvantages = ["eu-1", "us-1", "ap-1"]\n'


def test_the_environment_names_this_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "set PROBER_VANTAGE on this host" in problem(VANTAGES + GOOD)
    monkeypatch.setenv("PROBER_VANTAGE", "us-1")
    assert parse(VANTAGES + GOOD).daemon.vantage == "us-1"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBER_VANTAGE", "us-1")
    assert parse(VANTAGES + 'vantage = "eu-1"\n' + GOOD).daemon.vantage == "us-1"
    monkeypatch.setenv("PROBER_VANTAGE", "")
    assert parse(VANTAGES + 'vantage = "eu-1"\n' + GOOD).daemon.vantage == "eu-1"


def test_a_name_in_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBER_VANTAGE", "US 1")
    assert problem(GOOD).startswith('PROBER_VANTAGE = "US 1": use a-z')
    monkeypatch.setenv("PROBER_VANTAGE", "elsewhere")
    assert 'vantage = "elsewhere" is not one of vantages' in problem(VANTAGES + GOOD)


# -- written out -----------------------------------------------------------------------------------

FULL = (
    DEFAULTS
    + """
[daemon]
timezone = "Europe/Berlin"
heartbeat = { credential = "beat" }
[redis]
url = { env = "REDIS_URL" }
[network]
controls = ["https://one.example/"]
[canary]
interval = "45s"
[[provider]]
name = "a"
api = "openai"
model = "quoted \\"m\\" \\\\ é\\n"
key = { env = "KEY" }
enabled = "if_key"
residency = ["eu"]
price = { input = 0.00001, output = 2.0 }
headers = { x-plain = "1", "x.odd" = { file = "/h" } }
[provider.canary]
timeout = "9s"
daily_budget_usd = 30
[[provider]]
name = "b"
api = "gemini"
model = "m"
enabled = false
[[route]]
name = "chat"
candidates = ["a", "b"]
[route.objectives]
total = { under = "1.5s", detector = { kind = "calm" } }
[route.failover]
flip_on = ["availability"]
quiet_hours = "22:00-07:00"
[[alert]]
name = "oncall"
url = { file = "/x" }
events = ["blind"]
"""
)


@pytest.mark.parametrize("text", ["", GOOD, FULL, DEFAULTS + GOOD])
def test_the_effective_configuration_reads_back_to_the_same(text: str) -> None:
    config = parse(text)
    written = effective(config)
    assert parse(written) == config
    assert effective(parse(written)) == written


def test_the_effective_configuration_shows_where_secrets_stand_and_not_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY", SECRET)
    written = effective(parse(FULL))
    assert 'key = { env = "KEY" }' in written
    assert SECRET not in written + repr(parse(FULL))
