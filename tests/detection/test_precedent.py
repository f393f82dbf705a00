"""A canary that was answered well yesterday is not malformed today."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prober.config.loader import parse
from prober.detection.precedent import DAY_S, UPSTREAM_S, Precedent, Precedents, after, judged
from prober.probing.plans import resolve
from prober.sample import Cause, Fault, Outcome, Sample
from tests.support.values import sample

BAD = Outcome.BAD_REQUEST


def unknown(at_s: float = 100.0) -> Sample:
    return sample(BAD, at_s, detail="HTTP 418 teapot", cause=Cause.UNKNOWN)


def at(found: Sample) -> float:
    return found.started_at


@pytest.mark.parametrize(
    ("ago_s", "outcome"),
    [
        (1.0, Outcome.REFUSED),
        (DAY_S, Outcome.REFUSED),
        (DAY_S + 1, BAD),
        (-60.0, Outcome.REFUSED),  # the clock was set back
    ],
)
def test_an_unknown_refusal_is_the_provider_s_fault_within_a_day(
    ago_s: float, outcome: Outcome
) -> None:
    found = judged(unknown(), Precedent(answered_at=at(unknown()) - ago_s))
    assert found.outcome is outcome
    assert found.fault is (Fault.PROVIDER if outcome is Outcome.REFUSED else Fault.CANARY)
    assert found.detail == "HTTP 418 teapot"


@pytest.mark.parametrize(
    "one",
    [
        sample(BAD, 100, detail="not sent: the key holds what HTTP cannot carry"),
        sample(BAD, 100, detail="the gateway fell back to another target"),
        sample(Outcome.BUDGET_TOO_SMALL, 100),
        sample(Outcome.AUTH, 100),
        sample(Outcome.OVERLOADED, 100),
        sample(at_s=100),
    ],
    ids=lambda one: f"{one.outcome} {one.detail}",
)
def test_nothing_else_is_changed_by_what_was_answered(one: Sample) -> None:
    assert judged(one, Precedent(answered_at=at(one) - 1)) == one


def test_a_canary_that_never_succeeded_is_misconfigured() -> None:
    assert judged(unknown(), Precedent()) == unknown()


# -- a gateway and its upstream ----------------------------------------------------------------

NOBODY: dict[str, Any] = {"detail": "HTTP 429 No deployments available", "cause": Cause.NOBODY_LEFT}


def test_no_deployments_after_a_refused_upstream_is_the_same_trouble() -> None:
    refused = sample(Outcome.AUTH, 0, detail="HTTP 401", cause=Cause.UPSTREAM)
    nobody = sample(Outcome.OVERLOADED, 5, **NOBODY)
    found = judged(nobody, after(refused, Precedent()))
    assert (found.outcome, found.cause) == (Outcome.AUTH, Cause.UPSTREAM)
    assert found.detail == (
        "HTTP 429 No deployments available (just before: the gateway's own key refused)"
    )


def test_no_deployments_by_itself_is_an_outage() -> None:
    nobody = sample(Outcome.OVERLOADED, 5, **NOBODY)
    own = sample(Outcome.AUTH, 0, detail="HTTP 401")  # the key that opens the gateway
    assert judged(nobody, Precedent()).outcome is Outcome.OVERLOADED
    assert judged(nobody, after(own, Precedent())).outcome is Outcome.OVERLOADED


def test_that_trouble_ends_with_a_good_canary_or_an_hour() -> None:
    refused = sample(Outcome.QUOTA_EXHAUSTED, 0, cause=Cause.UPSTREAM)
    before = after(refused, Precedent())
    assert judged(sample(Outcome.OVERLOADED, UPSTREAM_S, **NOBODY), before).cause is Cause.UPSTREAM
    late = sample(Outcome.OVERLOADED, UPSTREAM_S + 1, **NOBODY)
    assert judged(late, before).outcome is Outcome.OVERLOADED
    healed = after(sample(at_s=3), before)
    assert judged(sample(Outcome.OVERLOADED, 6, **NOBODY), healed).outcome is Outcome.OVERLOADED


# -- the memory --------------------------------------------------------------------------------


def test_it_is_remembered_by_what_is_sent_and_across_a_restart() -> None:
    memory = Precedents()
    memory.judge(sample(at_s=0), "here")
    saved = json.loads(json.dumps(memory.dump(at(sample(at_s=50)))))
    again = Precedents()
    again.load(saved)
    assert again.judge(unknown(), "here").outcome is Outcome.REFUSED
    assert again.judge(unknown(), "elsewhere").outcome is BAD


def test_what_is_older_than_a_day_is_not_saved() -> None:
    memory = Precedents()
    memory.judge(sample(at_s=0), "here")
    assert memory.dump(at(sample(at_s=DAY_S + 1))) == {}


@pytest.mark.parametrize(
    "saved",
    [None, [], "x", {"a": None}, {"a": {}}, {"a": {"answered_at": "x", "upstream": None}},
     {"a": {"answered_at": None, "upstream": "nonsense", "upstream_at": 0}}],
)  # fmt: skip
def test_a_spoilt_memory_is_none(saved: Any) -> None:
    memory = Precedents()
    memory.load(saved)
    assert memory.judge(unknown(), "a").outcome is BAD


PROVIDER = """
[[provider]]
name = "a"
api = "openai"
model = "m"
base_url = "http://127.0.0.1:1/v1"
{more}
"""


def fingerprint(more: str = "", text: str = PROVIDER) -> str:
    return resolve(parse(text.format(more=more))).plans["a"].fingerprint


@pytest.mark.parametrize(
    "more",
    [
        'headers = { x-team = "b" }',
        'extra_body = { effort = "low" }',
        "canary = { max_tokens = 64 }",
        'canary = { kind = "arithmetic" }',
        'max_tokens_field = "max_tokens"',
    ],
)
def test_what_changes_what_is_sent_forgets(more: str) -> None:
    assert fingerprint(more) != fingerprint()


@pytest.mark.parametrize("old", ['"m"', "127.0.0.1:1/v1", '"openai"'])
def test_another_endpoint_is_another(old: str) -> None:
    new = {'"m"': '"n"', "127.0.0.1:1/v1": "127.0.0.1:2/v1", '"openai"': '"openai-responses"'}[old]
    assert fingerprint(text=PROVIDER.replace(old, new)) != fingerprint()


@pytest.mark.parametrize(
    "more", ['canary = { interval = "9s" }', "price = { input = 1.0 }", 'vendor = "v"']
)
def test_what_changes_nothing_that_is_sent_is_the_same(more: str) -> None:
    assert fingerprint(more) == fingerprint()


def test_a_key_counts_by_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for name, value in (("KEY_A", "one"), ("KEY_A", "two"), ("KEY_B", "two")):
        monkeypatch.setenv(name, value)
        found.add((name, fingerprint(f'key = {{ env = "{name}" }}')))
    assert len(found) == 2
    assert len({printed for _, printed in found}) == 2
