"""A setting of the user never makes a default an error: what was not said gives way."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from prober.canary import CanaryKind
from prober.config.checks import warnings
from prober.config.defaults import settle
from prober.config.loader import ConfigError, build, effective, parse
from prober.config.schema import (
    CanarySettings,
    Config,
    DaemonSettings,
    DetectorSettings,
    Failover,
    Limit,
    Objectives,
    Price,
    Provider,
    Redis,
    Route,
)
from prober.config.types import format_duration


@pytest.fixture(autouse=True)
def _no_vantage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROBER_VANTAGE", raising=False)


BASE: dict[str, Any] = {
    "daemon": {},
    "redis": {},
    "canary": {},
    "defaults": {"detector": {}, "objectives": {}, "failover": {}},
    "provider": [
        {"name": "a", "api": "openai", "model": "m", "price": {"input": 3.0, "output": 15.0},
         "canary": {}},
        {"name": "b", "api": "anthropic", "model": "m", "canary": {}},
    ],
    "route": [
        {"name": "chat", "candidates": ["a", "b"], "detector": {}, "failover": {},
         "objectives": {"ttft": {"under": "3s", "detector": {}},
                        "total": {"relative": True, "detector": {}}}},
    ],
}  # fmt: skip

# (the table in BASE, its model, the keys that mean nothing alone, and why)
TABLES: list[tuple[tuple[str | int, ...], type[BaseModel], set[str]]] = [
    # Who votes, and how many: neither can be guessed for the other.
    (("daemon",), DaemonSettings, {"vantages", "quorum"}),
    (("redis",), Redis, {"url"}),
    # A question of one's own has a prompt and what must be answered.
    (("canary",), CanarySettings, {"prompt", "expect", "kind"}),
    (("provider", 0, "canary"), CanarySettings, {"prompt", "expect", "kind"}),
    (("provider", 0, "price"), Price, set()),
    # One wire API's own.
    (
        ("provider", 0),
        Provider,
        {
            "name",
            "api",
            "preset",
            "api_version",
            "canary",
            "price",
            "base_url",
            "headers",
            "extra_body",
            "key",
        },
    ),
    (("defaults", "detector"), DetectorSettings, set()),
    (("defaults", "objectives"), Objectives, {"ttft", "total", "tokens_per_s"}),
    (("defaults", "failover"), Failover, set()),
    (("route", 0), Route, {"name", "candidates", "detector", "objectives", "failover", "reports"}),
    (("route", 0, "detector"), DetectorSettings, set()),
    (("route", 0, "objectives"), Objectives, {"ttft", "total", "tokens_per_s"}),
    (("route", 0, "failover"), Failover, set()),
    (("route", 0, "objectives", "ttft"), Limit, {"relative", "over", "detector"}),
    (("route", 0, "objectives", "ttft", "detector"), DetectorSettings, set()),
    (("route", 0, "objectives", "total"), Limit, {"relative", "under", "over", "detector"}),
    (("route", 0, "objectives", "total", "detector"), DetectorSettings, set()),
]


def keys() -> Iterator[tuple[tuple[str | int, ...], type[BaseModel], str]]:
    for path, model, alone in TABLES:
        for name in model.model_fields:
            if name not in alone:
                yield path, model, name


def values(model: type[BaseModel], name: str) -> st.SearchStrategy[Any]:
    """What may stand under a key, by its type and bounds."""
    field = model.model_fields[name]
    return _of(field.annotation, field.metadata)


def _of(kind: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is tuple:
        return st.lists(_of(get_args(kind)[0], []), max_size=2)
    if type(None) in get_args(kind):  # None is not written in TOML
        inner = next(arg for arg in get_args(kind) if arg is not type(None))
        return _of(inner, [*metadata, *getattr(inner, "__metadata__", ())])
    if hasattr(kind, "__metadata__"):
        return _of(kind.__origin__, [*metadata, *kind.__metadata__])
    if kind is timedelta:
        return st.sampled_from([0.001, 0.5, 1, 3, 7, 20, 45, 90, 3600, 86_400 * 400]).map(
            lambda seconds: format_duration(timedelta(seconds=seconds))
        )
    if isinstance(kind, type) and issubclass(kind, bool):
        return st.booleans()
    if isinstance(kind, type) and issubclass(kind, str) and hasattr(kind, "__members__"):
        return st.sampled_from([member.value for member in kind])
    if kind is float:
        bounds = _bounds(metadata)
        drawn = st.floats(**bounds, allow_nan=False, allow_infinity=False)
        return st.sampled_from(list(bounds.values())) | drawn
    if kind is int:
        bounds = _bounds(metadata)
        return st.sampled_from(list(bounds.values())) | st.integers(**bounds)
    return st.sampled_from(["x", "chat", "UTC", "", "22:00-07:00", "if_key", {"env": "X"}])


def _bounds(metadata: list[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"max_value": 10**9}
    for said in metadata:
        match said:
            case Gt(gt=bound):
                found["min_value"] = bound + 1e-9
            case Ge(ge=bound):
                found["min_value"] = bound
            case Lt(lt=bound):
                found["max_value"] = bound - 1e-9
            case Le(le=bound):
                found["max_value"] = bound
    return found


def legal(model: type[BaseModel], name: str, value: Any) -> bool:
    """Whether the key's own table would take it."""
    try:
        model.model_validate({name: value})
    except ValidationError as error:
        return all(found["loc"][:1] != (name,) for found in error.errors())
    return True


@pytest.mark.parametrize(
    ("path", "model", "name"), list(keys()), ids=lambda part: str(part) if type(part) is str else ""
)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_each_key_alone_may_have_any_legal_value(
    path: tuple[str | int, ...], model: type[BaseModel], name: str, data: st.DataObject
) -> None:
    value = data.draw(values(model, name))
    assume(legal(model, name, value))
    raw = copy.deepcopy(BASE)
    table: Any = raw
    for step in path:
        table = table[step]
    table[name] = value
    if name == "daily_budget_usd":
        del raw["provider"][0]["price"]  # the other half of what may contradict it
    try:
        config = build(raw, "f", other_tools=True)
    except ConfigError as error:
        pytest.fail("\n".join(error.problems))
    # As it is written out, every setting counts as said: that must be accepted too.
    assert effective(parse(effective(config), other_tools=True)) == effective(config)


def canary(text: str) -> CanarySettings:
    return (
        parse(f'{text}\n[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\n').provider[0].canary
    )


S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('timeout = "5s"', {"first_text_timeout": 5 * S, "timeout": 5 * S}),
        ('first_text_timeout = "30s"', {"first_text_timeout": 30 * S, "timeout": 30 * S}),
        ('interval = "2s"', {"suspect_interval": 2 * S, "interval": 2 * S}),
        ('suspect_interval = "1m"', {"suspect_interval": 60 * S, "interval": 60 * S}),
        ('timeout = "9s"', {"first_text_timeout": 8 * S, "timeout": 9 * S}),
        ('prompt = "Why?"\nexpect = { contains = "Because" }', {"kind": CanaryKind.CUSTOM}),
    ],
)
def test_what_was_not_said_follows_what_was(said: str, found: dict[str, Any]) -> None:
    made = canary(f"[canary]\n{said}")
    assert {name: getattr(made, name) for name in found} == found


def test_what_was_said_of_one_provider_or_of_all_counts_alike() -> None:
    own = '[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\ncanary = { timeout = "5s" }\n'
    assert parse(own).provider[0].canary.first_text_timeout == 5 * S
    with pytest.raises(ConfigError, match="first_text_timeout must not be longer"):
        parse('[canary]\nfirst_text_timeout = "8s"\n' + own)


PRICED = (
    '[[provider]]\nname = "a"\napi = "openai"\nmodel = "m"\nprice = {{ input = {}, output = {} }}\n'
)


def test_a_default_interval_is_lengthened_until_the_budget_carries_it() -> None:
    config = parse("[canary]\ndaily_budget_usd = 0.2\n" + PRICED.format(1, 2))
    assert config.provider[0].canary.interval == timedelta(seconds=82)
    (line,) = [line for line in warnings(config) if "interval" in line]
    assert line == (
        '[[provider]] "a": a canary only every 82 s, so that canary.daily_budget_usd = 0.2 carries '
        "it; write canary.interval, or allow more"
    )
    # One that would have to rest for hours watches nothing: that is refused.
    with pytest.raises(ConfigError, match="does not carry a canary every 30 s"):
        parse("[canary]\ndaily_budget_usd = 0.02\n" + PRICED.format(1, 2))


def test_a_default_budget_follows_the_interval_that_was_said_and_is_warned_of() -> None:
    config = parse('[canary]\ninterval = "2s"\n' + PRICED.format(1, 2))
    assert config.provider[0].canary.daily_budget_usd == 8.15
    (line,) = [line for line in warnings(config) if "budget" in line]
    assert line == (
        '[[provider]] "a": canaries may cost 8.15 USD a day, for one every 2 s and 20 proofs; '
        "write canary.daily_budget_usd"
    )


def test_a_dear_model_alone_is_asked_less_often_and_only_then_paid_more_for() -> None:
    made = parse(PRICED.format(10, 40)).provider[0].canary
    assert (made.interval, made.daily_budget_usd) == (timedelta(seconds=203), 1.0)
    dear = parse(PRICED.format(100, 400)).provider[0].canary
    assert dear.interval == timedelta(minutes=5)
    assert dear.daily_budget_usd == 6.75


def test_a_vantage_that_was_not_named_is_the_one_named_like_this_host() -> None:
    three = Config(daemon=DaemonSettings(vantages=("eu-1", "us-1", "ap-1")))
    assert settle(three, "us-1").daemon.vantage == "us-1"
    assert settle(three, "laptop").daemon.vantage == "local"  # refused, with what to set
    named = Config(daemon=DaemonSettings(vantage="eu-1", vantages=("eu-1", "us-1", "ap-1")))
    assert settle(named, "us-1").daemon.vantage == "eu-1"
