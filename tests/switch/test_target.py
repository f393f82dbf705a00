"""Which candidate is best, and the clause that says why or why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from switch.control.target import Bar, ProviderView, Weighed, choose, refused_by_residency
from switch.flag import Health
from tests.switch.switch_views import POLICY, PROOF, bad, proven, provider, view

EU, US = frozenset({"eu"}), frozenset({"us"})


@pytest.mark.parametrize(
    ("residency", "allowed", "refusal"),
    [
        (frozenset(), frozenset(), ""),
        (US, frozenset(), ""),
        (US, US, ""),
        (US, US | EU, ""),
        (US | EU, US | EU, ""),
        (US | EU, US, "residency eu, us; allowed: us"),
        (EU, US, "residency eu; allowed: us"),
        (frozenset(), US | EU, "residency not declared; allowed: eu, us"),
    ],
)
def test_residency_is_a_subset_and_undeclared_is_refused(
    residency: frozenset[str], allowed: frozenset[str], refusal: str
) -> None:
    candidate = provider("b", residency=residency)
    assert refused_by_residency(candidate, replace(POLICY, residency=allowed)) == refusal


FAST = proven("b", cost_usd=3.0, latency_s=0.5, quality=0.5)
CHEAP = proven("c", cost_usd=1.0, latency_s=2.0, quality=0.7)
RIGHT = proven("d", cost_usd=2.0, latency_s=1.0, quality=0.9)
SILENT = proven("e", cost_usd=9.0)


@pytest.mark.parametrize(
    ("prefer", "best"), [("order", "e"), ("cost", "c"), ("latency", "b"), ("quality", "d")]
)
def test_prefer_ranks_the_targets(prefer: str, best: str) -> None:
    primary = bad("a")
    policy = replace(POLICY, prefer=prefer)
    chosen = choose(view(primary, SILENT, FAST, CHEAP, RIGHT), policy, primary)
    assert chosen.target is not None
    assert chosen.target.name == best


@pytest.mark.parametrize("prefer", ["order", "cost", "latency", "quality"])
def test_a_tie_goes_to_the_one_configured_first(prefer: str) -> None:
    chosen = choose(view(proven("c"), proven("b"), primary="a"), replace(POLICY, prefer=prefer),
                    None)  # fmt: skip
    assert chosen.target == proven("c")


def test_another_failure_domain_comes_before_preference() -> None:
    primary = bad("a", domains=frozenset({"us-east", "key:one"}))
    near = proven("b", domains=frozenset({"key:one"}), cost_usd=1.0)
    apart = proven("c", domains=frozenset({"us-west"}), cost_usd=9.0)
    chosen = choose(view(primary, near, apart), replace(POLICY, prefer="cost"), primary)
    assert chosen.target == apart


def test_another_failure_domain_comes_before_room_for_the_peak_and_that_before_preference() -> None:
    primary = bad("a", domains=frozenset({"us-east"}))
    near = proven("b", domains=frozenset({"us-east"}))
    short = proven("c", short="c allows too little", cost_usd=1.0)
    policy = replace(POLICY, prefer="cost")
    assert choose(view(primary, near, short), policy, primary).target == short
    roomy = proven("d", cost_usd=9.0)
    assert choose(view(primary, near, short, roomy), policy, primary).target == roomy


def test_a_shared_failure_domain_is_better_than_nothing() -> None:
    primary = bad("a", domains=frozenset({"us-east"}))
    near = proven("b", domains=frozenset({"us-east"}))
    assert choose(view(primary, near), POLICY, primary).target == near


def test_a_candidate_that_failed_its_proof_makes_room_for_the_next() -> None:
    primary = bad("a", domains=frozenset({"x"}))
    failed = provider("b", recent_bad=True)
    near = provider("c", domains=frozenset({"x"}))
    assert choose(view(primary, failed, near), POLICY, primary).target == near
    assert choose(view(primary, failed), POLICY, primary).target == failed


def test_proven_outweighs_an_older_bad_canary() -> None:
    chosen = choose(view(proven("b", recent_bad=True), provider("c")), POLICY, None)
    assert chosen.target == proven("b", recent_bad=True)


@pytest.mark.parametrize(
    ("candidate", "weighed"),
    [
        (proven("b"), Weighed("b", True, f"would be taken: {PROOF}", proven=True)),
        (provider("b"), Weighed("b", True, "would be proven first")),
        (provider("b", why="1 of 4"), Weighed("b", True, "would be proven first (1 of 4)")),
        (provider("b", Health.SUSPECT), Weighed("b", True, "would be proven first")),
        (provider("b", Health.UNKNOWN), Weighed("b", True, "would be proven first")),
        (provider("b", Health.BREACHED, why="x"), Weighed("b", False, "breached: x", Bar.BREACH)),
        (
            provider("b", Health.INELIGIBLE, why="x"),
            Weighed("b", False, "ineligible: x", Bar.ACCOUNT),
        ),
        (
            provider("b", Health.INELIGIBLE, why="x", ineligible=Bar.BUDGET, free_ms=7),
            Weighed("b", False, "ineligible: x", Bar.BUDGET, 7),
        ),
        (proven("b", free_ms=7), Weighed("b", True, f"would be taken: {PROOF}", proven=True)),
        (
            provider("b", Health.RECOVERING, why="x"),
            Weighed("b", False, "recovering: x", Bar.DWELL),
        ),
    ],
)
def test_each_candidate_is_weighed_in_a_clause(candidate: ProviderView, weighed: Weighed) -> None:
    chosen = choose(view(bad("a"), candidate), POLICY, bad("a"))
    assert chosen.weighed == (weighed,)
    assert chosen.target == (candidate if weighed.eligible else None)


def test_residency_is_named_before_health() -> None:
    chosen = choose(view(bad("b")), replace(POLICY, residency=EU), None)
    assert chosen.weighed[0].why == "not allowed: residency not declared; allowed: eu"


def test_neither_the_primary_nor_the_one_left_out_is_weighed() -> None:
    given = view(proven("a"), proven("b"), proven("c"))
    assert [w.name for w in choose(given, POLICY, None).weighed] == ["b", "c"]
    assert [w.name for w in choose(given, POLICY, None, besides="b").weighed] == ["c"]
    assert [w.name for w in choose(given, POLICY, proven("c")).weighed] == ["a", "b"]
    nowhere = replace(given, flag=None)
    assert [w.name for w in choose(nowhere, POLICY, None).weighed] == ["a", "b", "c"]


def test_faster_asks_nothing_when_nobody_is_left() -> None:
    assert choose(view(proven("b")), POLICY, None, faster=True).target == proven("b")
