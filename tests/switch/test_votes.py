"""The tally: whose votes count, what a majority is, and what one vantage alone may not move."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from switch.control.decide import Action, Alarm, decide
from switch.control.lease import TIMING, Timing
from switch.control.target import ProviderView
from switch.control.votes import (
    Sight,
    VantageSettings,
    Vote,
    VoteTally,
    agree,
    claim_of,
    decode_vote,
    decode_votes,
    differences,
    encode_vote,
    tally,
)
from switch.flag import Health
from tests.switch.switch_views import FAILED, NOW, POLICY, bad, proven, provider, view

THREE = ("ap-1", "eu-1", "us-1")
LIFE_MS = 3_000
FLIP_ON = POLICY.flip_on
FINE = Sight(Health.OK)
DOWN = Sight(Health.BREACHED, frozenset({"availability"}), FAILED, suspicious=True)
SLOW = Sight(Health.BREACHED, frozenset({"ttft"}), "slow")


def vote(name: str, a: Sight = FINE, b: Sight = FINE, **said: Any) -> Vote:
    return replace(Vote(name, NOW, "r1", {"a": a, "b": b}), **said)


def counted(own: Vote, *stored: Vote, vantages: tuple[str, ...] = THREE) -> VoteTally:
    needed = len(vantages) // 2 + 1
    return tally(own, stored, vantages=vantages, needed=needed, now_ms=NOW, life_ms=LIFE_MS)


def seen_by(*sights: Sight) -> VoteTally:
    votes = [vote(name, sight) for name, sight in zip(THREE, sights, strict=True)]
    return counted(*votes)


# -- whose votes count --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "voters"),
    [
        ([], {"ap-1"}),
        ([vote("eu-1")], {"ap-1", "eu-1"}),
        ([vote("eu-1", at_ms=NOW - LIFE_MS)], {"ap-1", "eu-1"}),
        ([vote("eu-1", at_ms=NOW - LIFE_MS - 1)], {"ap-1"}),
        ([vote("eu-1", at_ms=NOW + LIFE_MS + 1)], {"ap-1"}),
        ([vote("eu-1", blind="no network")], {"ap-1"}),
        ([vote("eu-1", routing="r2")], {"ap-1"}),
        ([vote("elsewhere")], {"ap-1"}),
        ([vote("ap-1", at_ms=NOW - 60_000, blind="once")], {"ap-1"}),
        ([vote("eu-1"), vote("us-1")], set(THREE)),
    ],
    ids=["nobody else", "two", "just fresh", "too old", "of the future", "blind",
         "another configuration", "not in the list", "its own old one", "three"],
)  # fmt: skip
def test_only_fresh_seeing_configured_votes_of_one_configuration_count(
    stored: list[Vote], voters: set[str]
) -> None:
    said = counted(vote("ap-1"), *stored)
    assert set(said.voters) == voters
    assert said.quorum is (len(voters) >= 2)


def test_a_blind_counter_does_not_count_itself() -> None:
    said = counted(vote("ap-1", blind="no network"), vote("eu-1"))
    assert (said.voters, said.quorum) == (("eu-1",), False)


def test_the_count_names_who_is_missing_and_why() -> None:
    five = (*THREE, "sa-1", "za-1")
    said = counted(vote("ap-1"), vote("eu-1", blind="x"), vote("sa-1", routing="r2"), vantages=five)
    assert said.counted == (
        "1 of 5 vantages votes, 3 needed; silent: us-1, za-1; blind: eu-1; other settings: sa-1"
    )


def test_the_smaller_group_is_outvoted_and_the_larger_is_not() -> None:
    mine = vote("ap-1", routing="r2")
    assert counted(mine, vote("eu-1"), vote("us-1")).outvoted_by == ("eu-1", "us-1")
    assert counted(mine, vote("eu-1")).outvoted_by == ()
    assert counted(vote("eu-1"), mine, vote("us-1")).outvoted_by == ()


def test_two_disjoint_quorums_cannot_be() -> None:
    """Whatever each vantage goes by, at most one configuration has a quorum."""
    for routings in product("xyz", repeat=3):
        votes = [vote(n, routing=r) for n, r in zip(THREE, routings, strict=True)]
        quorums = {one.routing for one in votes if counted(one, *votes).quorum}
        assert len(quorums) <= 1


# -- breaches -------------------------------------------------------------------------------------

OWN = {FINE: provider("a"), DOWN: bad("a"), SLOW: bad("a", "ttft")}


@pytest.mark.parametrize("sights", list(product((FINE, DOWN), repeat=3)))
def test_the_primary_is_breached_when_and_only_when_a_majority_sees_it(
    sights: tuple[Sight, ...],
) -> None:
    """Every combination of three, whatever the counter itself sees."""
    found = agree(OWN[sights[0]], seen_by(*sights), FLIP_ON, primary=True)
    many = sights.count(DOWN)
    assert (found.health is Health.BREACHED) is (many >= 2)
    assert bool(found.breached) is (many >= 2)
    assert bool(found.regional) is (many == 1)
    decision = decide(view(found, proven("b")), POLICY)
    assert decision.action is (Action.FLIP if many >= 2 else Action.HOLD)
    assert decision.alarm is (Alarm.REGIONAL if many == 1 else None)


def test_the_sentences_name_who_sees_it() -> None:
    found = agree(OWN[FINE], seen_by(FINE, DOWN, DOWN), FLIP_ON, primary=True)
    assert found.why == f"{FAILED}, as 2 of 3 vantages see (eu-1, us-1)"
    found = agree(OWN[FINE], seen_by(FINE, DOWN, FINE), FLIP_ON, primary=True)
    assert decide(view(found, proven("b")), POLICY).reason == (
        f"a is breached for eu-1 only, of 3 vantages that vote ({FAILED}); a minority moves no flag"
    )


def test_a_kind_counts_when_a_majority_sees_that_kind() -> None:
    both = replace(DOWN, breached=frozenset({"availability", "ttft"}))
    assert seen_by(both, SLOW, FINE).agreed("a", FLIP_ON) == {"ttft"}
    assert seen_by(both, DOWN, SLOW).agreed("a", FLIP_ON) == {"availability", "ttft"}
    # Two see it breached, each in its own way: it is breached all the same.
    assert seen_by(DOWN, SLOW, FINE).agreed("a", FLIP_ON) == {"availability", "ttft"}
    assert seen_by(DOWN, SLOW, FINE).agreed("a", {"ttft"}) == frozenset()


def test_a_breach_that_flips_nothing_makes_no_majority() -> None:
    odd = Sight(Health.BREACHED, frozenset({"quality"}))
    found = agree(OWN[DOWN], seen_by(DOWN, odd, odd), FLIP_ON, primary=True)
    assert (found.breached, bool(found.regional)) == (frozenset(), True)


def test_unknown_is_no_breach_though_it_names_a_kind() -> None:
    """An account of the canary's own is unknown, with the kind that says why."""
    own = Sight(Health.UNKNOWN, frozenset({"auth"}))
    assert seen_by(own, own, own).agreed("a", FLIP_ON) == frozenset()


@pytest.mark.parametrize(
    ("sights", "fit"),
    [((FINE, FINE, FINE), True), ((FINE, DOWN, FINE), True), ((FINE, DOWN, DOWN), False)],
)
def test_a_target_needs_a_majority_that_does_not_see_it_breached(
    sights: tuple[Sight, ...], fit: bool
) -> None:
    votes = [vote(name, DOWN, sight) for name, sight in zip(THREE, sights, strict=True)]
    said = counted(*votes)
    primary = agree(OWN[DOWN], said, FLIP_ON, primary=True)
    target = agree(proven("b"), said, FLIP_ON, primary=False)
    decision = decide(view(primary, target), POLICY)
    assert decision.action is (Action.FLIP if fit else Action.HOLD)
    assert decision.alarm is (None if fit else Alarm.NO_CANDIDATE)


def test_the_counters_own_doubt_about_a_target_is_enough() -> None:
    own: ProviderView = bad("b")
    assert agree(own, counted(vote("ap-1", b=DOWN), vote("eu-1")), FLIP_ON, primary=False) is own


def test_without_a_quorum_nobody_is_made_better_or_worse() -> None:
    said = counted(vote("ap-1", DOWN))
    for primary in (True, False):
        assert agree(OWN[DOWN], said, FLIP_ON, primary=primary) is OWN[DOWN]


# -- who probes ---------------------------------------------------------------------------------


def test_canaries_are_shared_by_those_that_vote_while_nobody_has_doubts() -> None:
    votes = [vote(name) for name in THREE]
    assert [counted(one, *votes).share("a") for one in votes] == [(3, 0), (3, 1), (3, 2)]
    assert counted(votes[2], votes[1]).share("a") == (2, 1)
    assert counted(votes[0]).share("a") == (1, 0)
    doubts = counted(vote("ap-1"), vote("eu-1", DOWN), vote("us-1"))
    assert (doubts.share("a"), doubts.share("b")) == ((1, 0), (3, 0))
    assert (doubts.suspected_elsewhere("a"), doubts.suspected_elsewhere("b")) == (True, False)
    assert not counted(vote("ap-1", DOWN), vote("eu-1")).suspected_elsewhere("a")
    assert counted(vote("ap-1", blind="x"), vote("eu-1"), vote("us-1")).share("a") == (1, 0)


# -- in what they differ -------------------------------------------------------------------------


def told(**addresses: str) -> dict[str, VantageSettings]:
    return {
        name.replace("_", "-"): {"": {"mode": "m"}, "a": {"api": "x", "base_url": url}}
        for name, url in addresses.items()
    }


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        ({"eu_1": "1", "us_1": "1"}, ""),
        (
            {"ap_1": "1", "eu_1": "1", "us_1": "2"},
            "us-1 has another `base_url` of a than ap-1 and eu-1",
        ),
        (
            {"ap_1": "1", "eu_1": "2", "sa_1": "3", "us_1": "2"},
            "ap-1 and sa-1 have another `base_url` of a than eu-1 and us-1",
        ),
        (
            {"ap_1": "1", "eu_1": "2", "us_1": "3"},
            "ap-1, eu-1 and us-1 each have another `base_url` of a",
        ),
    ],
)
def test_who_differs_in_which_key_of_which_provider_is_said(
    addresses: dict[str, str], sentence: str
) -> None:
    assert " ".join(one.sentence for one in differences(told(**addresses))) == sentence


def test_a_key_at_its_default_differs_from_one_that_is_set_and_the_route_is_told_too() -> None:
    found = differences({"eu-1": {"": {"mode": "1"}}, "us-1": {"": {"prefer": "2", "mode": "1"}}})
    assert [one.sentence for one in found] == [
        "eu-1 and us-1 each have another `prefer` of the route"
    ]


def test_a_candidate_that_one_lacks_is_a_difference_of_the_route_alone() -> None:
    with_b = {"": {"candidates": "1"}, "a": {"api": "x"}, "b": {"api": "y"}}
    without = {"": {"candidates": "2"}, "a": {"api": "x"}}
    found = differences({"eu-1": with_b, "us-1": without})
    assert [(one.provider, one.key) for one in found] == [("", "candidates")]


def test_a_vantage_of_before_does_not_tell_and_is_not_compared() -> None:
    assert differences({**told(eu_1="1"), "us-1": {}}) == ()
    old = json.loads(encode_vote(vote("us-1", settings={"": {"mode": "1"}})))
    del old["settings"]
    assert decode_vote("us-1", json.dumps(old)) == vote("us-1")
    said = counted(vote("ap-1", settings={"": {"mode": "1"}}), vote("us-1", routing="r2"))
    assert said.differences == ()
    assert said.counted.endswith("other settings: us-1")


def test_while_all_go_by_the_same_nothing_is_compared() -> None:
    """Whatever they tell: `routing` decides."""
    other = {"": {"mode": "2"}}
    said = counted(vote("ap-1", settings={"": {"mode": "1"}}), vote("us-1", settings=other))
    assert said.differences == ()
    apart = counted(vote("ap-1", settings={"": {"mode": "1"}}),
                    vote("us-1", settings=other, routing="r2"))  # fmt: skip
    assert [one.setting for one in apart.differences] == ["`mode` of the route"]


# -- as Redis holds it ---------------------------------------------------------------------------


def test_a_vote_survives_encoding() -> None:
    one = vote("eu-1", DOWN, SLOW, blind="no network", claim=claim_of("nonce"),
               settings={"": {"failover.flip_on": "ab"}, "a": {"base_url": "cd"}})  # fmt: skip
    assert decode_vote("eu-1", encode_vote(one)) == one
    long = vote("eu-1", replace(DOWN, why="x" * 5_000))
    assert len(encode_vote(long)) < 1_000


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{", "{}", '{"at_ms":"x"}', '{"at_ms":1e999}', "[" * 100_000,
     encode_vote(vote("x")).replace('"ok"', '"splendid"'),
     encode_vote(vote("x")).replace('"sees":{', '"sees":{"c":1,'),
     encode_vote(vote("x")).replace('"settings":{', '"settings":{"c":1')],
)  # fmt: skip
def test_what_is_no_vote_is_left_out(text: str) -> None:
    assert decode_votes({"eu-1": text, "us-1": encode_vote(vote("us-1"))}) == (vote("us-1"),)


def test_a_setting_whose_name_is_none_is_left_out() -> None:
    """It is shown to people: nothing there writes markup, or a page."""
    hostile = {"": {"mode": "1", "<b>`x`": "2"}, "no name": {"api": "3"}}
    read = decode_vote("eu-1", encode_vote(vote("eu-1", settings=hostile)))
    assert read == vote("eu-1", settings={"": {"mode": "1"}})


def test_a_name_that_is_none_does_not_vote() -> None:
    assert decode_vote("eu 1", encode_vote(vote("x"))) is None


def test_a_claim_does_not_give_the_nonce_away() -> None:
    assert claim_of(None) == claim_of("") == ""
    assert claim_of("a" * 32) != claim_of("b" * 32)
    assert "a" * 8 not in claim_of("a" * 32)


# -- times --------------------------------------------------------------------------------------


def test_a_lease_outlives_a_late_renewal_that_fails_once() -> None:
    assert TIMING.ttl_s - TIMING.renew_after_s >= TIMING.loop_s + 2 * TIMING.timeout_s
    assert TIMING.vote_life_ms == 3_250
    Timing(loop_s=1, timeout_s=0.25, ttl_s=2.25)
    with pytest.raises(ValueError, match=r"a lease of 2\.2 s, .* two timeouts, 1\.5 s"):
        Timing(loop_s=1, timeout_s=0.25, ttl_s=2.2)
