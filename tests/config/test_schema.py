"""prober.toml: every error at once, each with its place and what to write; defaults; secrets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from prober.config.loader import ConfigError, load, parse
from prober.config.schema import format_duration, parse_duration
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


ROUTE = '[[route]] "chat": '
PROVIDER = '[[provider]] "a": '
DURATION = 'write a duration with its unit, like "30s", "10m", "1h" or "200ms"'

ERRORS = {
    "an unknown table": (
        GOOD + "[cannary]\ninterval = '1s'",
        "[cannary]: unknown table; did you mean 'canary'?",
    ),
    "an unknown table like none": (GOOD + "[xyz]", "[xyz]: unknown table"),
    "an unknown key": (
        GOOD + "[daemon]\ntimezon = 'UTC'",
        "[daemon]: unknown key 'timezon'; did you mean 'timezone'?",
    ),
    "an unknown key in a list": (
        B + CHAT + A + "modle = 'x'",
        PROVIDER + "unknown key 'modle'; did you mean 'model'?",
    ),
    "an unknown key deep inside": (
        GOOD + "[route.detector]\nknd = 'calm'",
        ROUTE + "unknown key 'detector.knd'; did you mean 'kind'?",
    ),
    "an unknown kind of reference": (
        B + CHAT + A + 'key = { fil = "/k" }',
        PROVIDER + "unknown key 'key.fil'; did you mean 'file'?",
    ),
    "a missing key": (
        B + CHAT + '[[provider]]\nname = "a"\napi = "openai"',
        PROVIDER + "model is missing",
    ),
    "a wrong type": (
        GOOD + "[canary]\nmax_tokens = 'many'",
        '[canary]: max_tokens = "many": write a whole number',
    ),
    "a choice that is none": (
        GOOD + "[route.failover]\nfailback = 'atuo'",
        ROUTE + 'failover.failback = "atuo": use one of manual, auto; did you mean \'auto\'?',
    ),
    "a mode that is none": (
        B + A + CHAT + "mode = 'observ'",
        ROUTE + "mode = \"observ\": use one of observe, propose, auto; did you mean 'observe'?",
    ),
    "a number as a duration": (
        GOOD + "[canary]\ninterval = 30",
        f"[canary]: interval = 30: {DURATION}",
    ),
    "a duration of nothing": (
        GOOD + "[canary]\ninterval = '0s'",
        '[canary]: interval = "0s": must be longer than nothing',
    ),
    "an endless duration": (
        GOOD + "[canary]\ninterval = '99999999999999d'",
        '[canary]: interval = "99999999999999d": is longer than anybody can wait',
    ),
    "a bad name": (
        A.replace('"a"', '"A b"') + '[[route]]\nname = "chat"\ncandidates = ["A b"]',
        None,
    ),
    "an unknown zone": (
        GOOD + "[daemon]\ntimezone = 'Mars/Base'",
        '[daemon]: timezone = "Mars/Base": no such time zone; write it like "Europe/Berlin"',
    ),
    "a value for enabled": (
        B + CHAT + A + "enabled = 'if_keys'",
        PROVIDER + 'enabled = "if_keys": write true, false or "if_key"',
    ),
    "quiet hours": (
        GOOD + "[route.failover]\nquiet_hours = '22-7'",
        ROUTE + 'failover.quiet_hours = "22-7": write quiet hours like "22:00-07:00"',
    ),
    "a share of one": (
        GOOD + "[route.objectives]\navailability = 1.0",
        ROUTE + "objectives.availability = 1.0: input should be less than 1",
    ),
    "an infinite budget": (
        GOOD + "[canary]\ndaily_budget_usd = inf",
        "[canary]: daily_budget_usd = Infinity: input should be a finite number",
    ),
    "an address that is none": (
        B + CHAT + A + "base_url = 'h.example'",
        PROVIDER + 'base_url = "h.example": must start with http:// or https://',
    ),
    "an address without a host": (
        B + CHAT + A + "base_url = 'https:///v1'",
        PROVIDER + 'base_url = "https:///v1": names no host',
    ),
    "an address that cannot be read": (
        B + CHAT + A + "base_url = 'https://[::1'",
        PROVIDER + 'base_url = "https://[::1": is no URL',
    ),
    "no candidate": (
        A + '[[route]]\nname = "chat"\ncandidates = []',
        None,
    ),
    "one bracket for two": (
        '[provider]\nname = "a"\napi = "openai"\nmodel = "m"',
        "[provider]: write [[provider]], with two brackets: there can be several",
    ),
    "a number in a list": (
        GOOD + "[network]\ncontrols = [1]",
        "[network]: controls.0 = 1: input should be a valid string",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name, (_, line) in ERRORS.items() if line])
def test_an_error_names_its_place_its_value_and_what_to_write(name: str) -> None:
    text, line = ERRORS[name]
    assert problem(text) == line


@pytest.mark.parametrize("name", ["a bad name", "no candidate"])
def test_an_error_that_has_others_in_its_train_is_named_too(name: str) -> None:
    assert len(problems(ERRORS[name][0])) >= 1


def test_every_error_is_told_at_once() -> None:
    text = f"""
    [daemon]
    vantage = "Big"
    [canary]
    interval = 5
    {A}
    price = {{ input = -1 }}
    {A}
    {CHAT}
    colour = "red"
    [[alert]]
    name = "oncall"
    url = {{ env = "X" }}
    routes = ["chatt"]
    """
    lines = problems(text)
    for words in (
        '[daemon]: vantage = "Big": use a-z',
        "[canary]: interval = 5",
        '[[provider]] "a": price.input = -1',
        "[[route]] \"chat\": unknown key 'colour'",
        '[[provider]] "a": the name is given 2 times',
        "[[alert]] \"oncall\": routes names no [[route]] 'chatt'; did you mean 'chat'?",
    ):
        assert sum(line.startswith(words) for line in lines) == 1, (words, lines)
    assert len(lines) == len(set(lines))


LITERAL = 'secrets are given by reference: { env = "NAME" } or { file = "path" }'


@pytest.mark.parametrize(
    "text",
    [
        B + CHAT + A + f'key = "{SECRET}"',
        B + CHAT + A + f'key = ["{SECRET}"]',
        B + CHAT + A + f'key = {{ env = ["{SECRET}"] }}',
        B + CHAT + A + f'key = {{ value = "{SECRET}" }}',
        B + CHAT + A + f'kee = "{SECRET}"',
        B + CHAT + A + f'headers = {{ authorization = ["{SECRET}"] }}',
        B + CHAT + A + f'base_url = "https://user:{SECRET}@h.example"',
        B + CHAT + A + f'price = {{ input = "{SECRET}" }}\nkey = 1'.replace(SECRET, "x"),
        GOOD + f'[[alert]]\nname = "x"\nurl = "https://hooks.example/{SECRET}"',
        GOOD + f'[daemon]\nheartbeat = "https://hc.example/{SECRET}"',
        GOOD + f'[redis]\nurl = "redis://:{SECRET}@h"',
        GOOD + f'[database]\nurl = "postgresql://u:{SECRET}/x@h/db"',
        GOOD + f'[database]\nurl = "postgresql://h/db?user=u&password={SECRET}"',
        f'[provider]\nname = "a"\nkey = "{SECRET}"',
        f'alert = ["https://hooks.example/{SECRET}"]',
        f'[[alert]]\nname = "x"\n[alert.url]\nenv = {{ key = "{SECRET}" }}',
        f'redis = "redis://:{SECRET}@h"',
        f'[network]\ncontrols = {{ url = "https://{SECRET}" }}',
    ],
)
def test_a_secret_written_into_the_file_is_refused_and_never_echoed(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(text)
    said = str(refused.value) + repr(refused.value) + str(refused.value.__cause__)
    assert SECRET not in said


def test_a_literal_secret_is_told_how_to_be_given() -> None:
    assert problem(B + CHAT + A + f'key = "{SECRET}"') == PROVIDER + f"key: {LITERAL}"


@pytest.mark.parametrize("text", ["a = {\n b = 1 }", "a = { b = 1,\n c = 2 }", "a = { b = 1\n}"])
def test_an_inline_table_over_several_lines_gets_a_hint(text: str) -> None:
    assert problem("[x]\n" + text).endswith("; an inline table must stay on one line")


def test_what_is_no_toml_says_where() -> None:
    assert "line 2" in problem("[a]\n= 1")
    assert "inline" not in problem("[a]\n= 1") + problem("[a")


def test_a_file_that_is_not_there_or_not_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "prober.toml"
    with pytest.raises(ConfigError, match=r"cannot be read: No such file"):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(path)
    path.write_text(GOOD)
    assert load(path) == parse(GOOD)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1.5m", 90), ("200ms", 0.2), ("2h", 7200), ("7d", 604_800), (" 1s ", 1)],
)
def test_durations_are_numbers_with_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", [30, 1.5, "", "30", "s", "-1s", "1 s", "1w", "1s2", None, True])
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="write a duration"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["30s", "10m", "1h", "2d", "200ms", "90s", "0ms"])
def test_durations_are_written_in_their_shortest_whole_form(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
