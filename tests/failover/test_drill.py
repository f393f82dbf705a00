"""Drills: bounded, refused at any bad time, and always on the way home."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from prober.clock import in_hours
from prober.failover.drill import (
    STUCK_AFTER_MS,
    Do,
    Drill,
    Drilled,
    DrillResult,
    Wish,
    drilled,
    fallback,
    refusal,
    resumed,
    step,
)
from switch.control.decide import Action, Alarm, Decision
from switch.control.target import View
from switch.flag import Flip, Health, Mode, Op, Origin
from tests.switch.switch_views import (
    HOUR,
    MINUTE,
    NOW,
    POLICY,
    PROOF,
    bad,
    flag,
    flipped,
    pin,
    proven,
    provider,
    view,
)

HOLD = Decision(Action.HOLD, "all is well")
UTC = ZoneInfo("UTC")
ASKED = Drill("x", home="a", away="b", by="ann", for_ms=2 * MINUTE, asked_ms=NOW)
LEFT = NOW - MINUTE
AWAY = replace(ASKED, asked_ms=LEFT, left_ms=LEFT, left_epoch=LEFT)
WISH = Wish(for_ms=2 * MINUTE, zone=UTC)


def moved(at_ms: int, origin: str, to: str, **evidence: Any) -> Flip:
    actor = "drill of ann" if evidence else "ben"
    return replace(flipped(at_ms, origin, to, Op.MANUAL), evidence=evidence, actor=actor)


OUT = moved(LEFT, "a", "b", drill="x", phase="out", by="ann", for_s=120.0)


def at_home(**said: Any) -> View:
    return view(proven("a"), proven("b"), **said)


def on_b(a: Any = None, b: Any = None, **said: Any) -> View:
    told: dict[str, Any] = {"primary": "b", "flips": (OUT,)}
    return view(a or proven("a"), b or proven("b"), **(told | said))


# -- the way out ---------------------------------------------------------------------------------


def test_it_leaves_for_a_proven_fallback_and_says_why() -> None:
    now = step(ASKED, at_home(), POLICY, HOLD)
    assert now.do is Do.LEAVE
    assert now.reason == f"drill by ann, 2 min at most; b healthy, {PROOF}"
    assert now.drill.evidence(PROOF, NOW) == {
        "kind": "drill", "drill": "x", "by": "ann", "proof": PROOF, "phase": "out", "for_s": 120.0,
    }  # fmt: skip


def test_it_waits_for_the_proof_only_so_long() -> None:
    unproven = view(proven("a"), provider("b"))
    assert step(ASKED, unproven, POLICY, HOLD).do is Do.WAIT
    assert ASKED.wants == "b"
    late = step(ASKED, replace(unproven, now_ms=NOW + 31_000), POLICY, HOLD)
    assert (late.do, late.reason) == (Do.END, "b could not be proven")


@pytest.mark.parametrize(
    ("decision", "seen", "words"),
    [
        (Decision(Action.FLIP, "a is bad", "b", kind="failover"), at_home(), "a is bad"),
        (Decision(Action.HOLD, "so bad", alarm=Alarm.NO_CANDIDATE), at_home(), "so bad"),
        (HOLD, view(proven("a"), bad("b")), "b may not serve chat now"),
        (HOLD, at_home(primary="b"), "the flag is on b"),
        (HOLD, at_home(pin=pin("a")), "ada pinned chat"),
    ],
)
def test_it_never_leaves_when_something_has_come_between(
    decision: Decision, seen: View, words: str
) -> None:
    now = step(ASKED, seen, POLICY, decision)
    assert now.do is Do.END
    assert words in now.reason


@pytest.mark.parametrize(
    "said",
    [
        {"redis_readable": False},
        {"holding": "blind: our own network seems to be gone"},
        {"leader": False},
        {"paused": True},
        {"flag": None},
    ],
)
@pytest.mark.parametrize("drill", [ASKED, AWAY, replace(AWAY, result=DrillResult.FAILED)])
def test_nothing_moves_while_nothing_may_be_written(drill: Drill, said: dict[str, Any]) -> None:
    seen = replace(on_b() if drill.left_ms else at_home(), **said)
    assert step(drill, seen, POLICY, HOLD).do is Do.WAIT


# -- away, and back ------------------------------------------------------------------------------


def test_it_stays_for_the_time_asked_and_no_longer() -> None:
    now = step(AWAY, on_b(), POLICY, HOLD)
    assert (now.do, now.reason) == (Do.WAIT, "drill: b serves chat for 60 s more")
    assert now.drill.wants == ""
    over = step(AWAY, on_b(now_ms=LEFT + 2 * MINUTE), POLICY, HOLD)
    assert over.do is Do.RETURN
    assert over.reason == f"drill over: b carried 2 min; a healthy, {PROOF}"
    evidence = over.drill.evidence(PROOF, LEFT + 2 * MINUTE)
    assert (evidence["phase"], evidence["result"], evidence["lasted_s"]) == ("back", "carried", 120)


@pytest.mark.parametrize(
    "turned",
    [
        provider("b", Health.SUSPECT, why="evidence 18", proof="3 of 4", recent_bad=True),
        bad("b"),
        provider("b", Health.INELIGIBLE, why="the key is refused"),
        provider("b", proof="3 of 4, rate limited", recent_bad=True),
    ],
)
def test_it_goes_back_at_once_when_the_fallback_turns_bad(turned: Any) -> None:
    now = step(AWAY, on_b(b=turned), POLICY, HOLD)
    assert now.do is Do.RETURN
    why = turned.proof or turned.why
    assert now.reason.startswith(f"drill over: b failed after 60 s ({why}); a healthy")


def test_maintenance_of_the_fallback_cuts_it_short() -> None:
    now = step(AWAY, on_b(b=proven("b", maintenance="maintenance until 23:00")), POLICY, HOLD)
    assert (now.do, now.drill.result) == (Do.RETURN, DrillResult.CUT)
    assert "cut short on b after 60 s (maintenance until 23:00)" in now.reason


def test_unknown_is_not_bad() -> None:
    pending = provider("b", Health.UNKNOWN, why="no witness yet", recent_bad=True)
    assert step(AWAY, on_b(b=pending), POLICY, HOLD).do is Do.WAIT
    over = step(AWAY, on_b(b=pending, now_ms=LEFT + 2 * MINUTE), POLICY, HOLD)
    assert over.drill.result is DrillResult.CUT, "of an unknown one nobody can say that it carried"


@pytest.mark.parametrize(
    "home",
    [
        provider("a"),
        bad("a"),
        provider("a", Health.RECOVERING, proven=True, why="may serve soon"),
        proven("a", maintenance="maintenance until 23:00"),
    ],
)
def test_it_never_returns_onto_an_unproven_home(home: Any) -> None:
    over = on_b(a=home, now_ms=LEFT + 2 * MINUTE)
    now = step(AWAY, over, POLICY, HOLD)
    assert now.do is Do.WAIT
    assert now.drill.wants == "a", "it is probed until it is proven"
    assert not now.stuck(over.now_ms)
    later = replace(over, now_ms=over.now_ms + STUCK_AFTER_MS)
    waiting = step(now.drill, later, POLICY, HOLD)
    assert waiting.stuck(later.now_ms), "people are told"
    proven_at_last = replace(later, providers=(proven("a"), proven("b")))
    back = step(waiting.drill, proven_at_last, POLICY, HOLD)
    assert back.do is Do.RETURN
    assert "b carried 3 min" in back.reason


def test_a_fallback_that_fails_while_home_is_awaited_did_not_carry() -> None:
    waiting = replace(AWAY, result=DrillResult.CARRIED, back_ms=NOW)
    now = step(waiting, on_b(b=bad("b")), POLICY, HOLD)
    assert (now.do, now.drill.result) == (Do.RETURN, DrillResult.FAILED)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"pin": pin("b")}, "ada pinned chat"),
        ({"flips": (OUT, moved(NOW, "b", "b"))}, "ben moved or pinned the flag"),
        ({"flips": (OUT, flipped(NOW, "b", "c"))}, "prober moved or pinned the flag"),
        ({"flag": flag("c")}, "the flag is on c"),
        ({"flips": (OUT, moved(NOW, "b", "a", drill="x", phase="back"))}, "it is over"),
        ({"providers": (proven("b"), proven("c"))}, "a may not serve chat any more"),
    ],
)
def test_whoever_moves_or_pins_the_flag_ends_the_drill(said: dict[str, Any], words: str) -> None:
    now = step(AWAY, on_b(**said), POLICY, HOLD)
    assert now.do is Do.END
    assert words in now.reason


def test_residency_ends_it_too() -> None:
    now = step(AWAY, on_b(), replace(POLICY, residency=frozenset({"eu"})), HOLD)
    assert now.do is Do.END
    assert "the flag stays on b" in now.reason


def test_repairs_and_seeds_do_not_end_a_drill() -> None:
    repaired = replace(flipped(NOW, "a", "b"), op=Op.REPAIR)
    assert step(AWAY, on_b(flips=(OUT, repaired)), POLICY, HOLD).do is Do.WAIT
    assert step(AWAY, on_b(flips=()), POLICY, HOLD).do is Do.WAIT, "an emptied stream"
    older = moved(LEFT - HOUR, "c", "a")
    assert step(AWAY, on_b(flips=(older,)), POLICY, HOLD).do is Do.WAIT, "an old backup"


def test_a_flip_whose_answer_was_lost_is_found_in_the_stream() -> None:
    now = step(ASKED, on_b(), POLICY, HOLD)
    assert (now.drill.left_ms, now.drill.left_epoch) == (OUT.at_ms, OUT.epoch)


# -- taken up again ------------------------------------------------------------------------------


def test_a_drill_left_open_by_a_kill_only_goes_back() -> None:
    drill = resumed(on_b(), POLICY)
    assert drill is not None
    assert (drill.id, drill.home, drill.away, drill.by) == ("x", "a", "b", "ann")
    now = step(drill, on_b(), POLICY, HOLD)
    assert now.do is Do.RETURN
    assert "cut short on b after 60 s (the daemon restarted)" in now.reason
    unproven = on_b(a=provider("a"))
    assert step(drill, unproven, POLICY, HOLD).do is Do.WAIT, "back only when that is safe"


@pytest.mark.parametrize(
    "seen",
    [
        at_home(),
        at_home(flips=(flipped(NOW - HOUR),)),
        on_b(flips=(OUT, moved(NOW, "b", "b"))),
        on_b(flips=(OUT, moved(NOW, "b", "a", drill="x", phase="back")), primary="a"),
        on_b(pin=pin("b")),
        on_b(leader=False),
        on_b(paused=True),
        on_b(holding="time jumped"),
        on_b(primary="c"),
        view(proven("b"), primary="b", flips=(OUT,)),
    ],
)
def test_what_is_no_open_drill_is_not_taken_up(seen: View) -> None:
    assert resumed(seen, POLICY) is None


# -- when one may begin --------------------------------------------------------------------------


def test_all_well_one_may_begin() -> None:
    assert refusal(at_home(), POLICY, WISH, None) == ""
    assert fallback(at_home(), POLICY) == proven("b")


HOME_AGAIN = replace(flipped(NOW - HOUR, "b", "a"), evidence={"kind": "failback"})
OVER = replace(flipped(NOW - HOUR), evidence={"kind": "failover"})


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"mode": Mode.OBSERVE}, "chat is in mode observe, which never writes"),
        ({"flag": None}, "chat has no flag yet"),
        ({"pin": pin("a")}, "chat is pinned by ada for 10 min more; `prober unpin chat` first"),
        ({"paused": True}, "automation is paused; `prober resume` first"),
        ({"redis_readable": False}, "Redis cannot be read"),
        ({"leader": False}, "another vantage holds the lease"),
        ({"holding": "blind: no network"}, "blind: no network"),
        ({"frozen_until": NOW + 1}, "chat is frozen after too many flips"),
        ({"providers": (bad("a"), proven("b"))}, "a is breached (9 of 24 canaries"),
        ({"providers": (provider("a", Health.SUSPECT), proven("b"))}, "a is suspect"),
        ({"providers": (proven("a"), bad("b"))}, "nobody could carry chat: b: breached: 9 of 24"),
        ({"providers": (proven("a"),)}, "nobody could carry chat: there is no other candidate"),
        (
            {"providers": (proven("a", maintenance="maintenance at 23:00"), proven("b"))},
            "a: maintenance at 23:00; drill another time",
        ),
        ({"providers": (proven("b"),)}, "a, which serves chat, may not serve it any more"),
        (
            {"flips": (OVER,), "flag": flag("b")},
            "automation put chat on b, and its home is a; `prober failback chat` first",
        ),
        ({"flag": flag("b", origin=Origin.AUTOMATIC)}, "automation put chat on b"),
    ],
)
def test_a_bad_state_refuses_it_in_one_line(said: dict[str, Any], words: str) -> None:
    why = refusal(replace(at_home(), **said), POLICY, WISH, None)
    assert words in why
    assert "\n" not in why


def test_an_open_incident_refuses_it() -> None:
    assert "incident 7 of chat is open" in refusal(at_home(), POLICY, WISH, 7)


def test_where_people_put_the_flag_is_its_home() -> None:
    assert refusal(at_home(flips=(moved(NOW, "a", "b"),), primary="b"), POLICY, WISH, None) == ""


def test_by_cost_the_cheapest_is_home() -> None:
    cheap = replace(POLICY, prefer="cost")
    dear = view(proven("a", cost_usd=2.0), proven("b", cost_usd=1.0), flips=(OVER,), primary="b")
    assert refusal(dear, cheap, WISH, None) == ""
    assert "its home is a" in refusal(dear, POLICY, WISH, None)


def test_after_a_failback_one_may_begin_again() -> None:
    assert refusal(at_home(flips=(OVER, HOME_AGAIN)), POLICY, WISH, None) == ""


# NOW is 22:13 UTC.
@pytest.mark.parametrize(
    ("window", "quiet", "words"),
    [
        ("", "", ""),
        ("22:00-23:00", "", ""),
        ("10:00-16:00", "", "it is 22:13, outside --window 10:00-16:00"),
        ("22:00-22:15", "", "it would end at 22:15, outside --window 22:00-22:15"),
        ("", "22:00-07:00", "it is 22:13, within the quiet hours 22:00-07:00"),
        ("", "22:15-07:00", "it would end at 22:15, within the quiet hours 22:15-07:00"),
        ("", "09:00-17:00", ""),
    ],
)
def test_a_drill_begins_and_ends_within_its_hours(window: str, quiet: str, words: str) -> None:
    wish = replace(WISH, window=window, quiet_hours=quiet)
    assert refusal(at_home(), POLICY, wish, None) == words


@pytest.mark.parametrize(
    ("hours", "zone", "within"),
    [
        ("22:00-07:00", "UTC", True),
        ("07:00-22:00", "UTC", False),
        ("23:00-23:30", "Europe/Berlin", True),
        ("22:13-22:14", "UTC", True),
        ("22:00-22:13", "UTC", False),
    ],
)
def test_hours_are_local_and_may_pass_midnight(hours: str, zone: str, within: bool) -> None:
    assert in_hours(hours, NOW / 1000, ZoneInfo(zone)) is within


# -- what is remembered --------------------------------------------------------------------------


def remembered(*flips: Flip) -> Drilled | None:
    last: Drilled | None = None
    for flip in flips:
        last = drilled(last, flip)
    return last


def back(result: str, why: str = "") -> Flip:
    said = {"phase": "back", "result": result, "why": why, "lasted_s": 120.0}
    return moved(NOW, "b", "a", drill="x", **said)


DAYS_LATER = LEFT + 3 * 24 * HOUR


@pytest.mark.parametrize(
    ("flips", "sentence"),
    [
        ((OUT, back("carried")), "b carried 2 min"),
        ((OUT, back("failed", "overloaded")), "b failed after 2 min (overloaded)"),
        ((OUT, back("cut", "the daemon restarted")), "cut short on b after 2 min (the daemon"),
        ((OUT, moved(NOW, "b", "b")), "cut short on b after 60 s (ben took over)"),
        (
            (OUT, replace(flipped(NOW, "b", "c"), evidence={"why": "9 of 24 failed"})),
            "b failed after 60 s (9 of 24 failed)",
        ),
        ((OUT, back("carried"), flipped(NOW + HOUR, "a", "b")), "b carried 2 min"),
        ((OUT,), "on b, and not back yet"),
    ],
)
def test_the_last_drill_is_told_from_the_flips_alone(
    flips: tuple[Flip, ...], sentence: str
) -> None:
    last = remembered(*flips)
    assert last is not None
    told = last.sentence(DAYS_LATER)
    assert told.startswith("last drill 3 d ago: ")
    assert sentence in told


def test_a_route_without_drills_has_none() -> None:
    assert remembered(flipped(NOW), moved(NOW + 1, "b", "a")) is None
