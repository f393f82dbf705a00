"""Reports as evidence: they find partial failures, and never breach alone."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random

import pytest

from prober.config.objectives import Dials
from prober.detection.report_evidence import REFUTED_NATS, ReportEvidence
from prober.detection.tracker import Change
from prober.sample import Outcome
from switch.flag import Health
from tests.support.trackers import good, tracker
from tests.support.values import WALL, sample

DIALS = Dials(0.01, 0.15)
FOUR = ("p1", "p2", "p3", "p4")
# Good and bad in turn: 40 % of each process's requests.
MIXED = ((3, 2), (3, 2))


def traffic() -> ReportEvidence:
    return ReportEvidence(DIALS)


def said(
    seen: ReportEvidence,
    seconds: Iterable[int],
    counts: dict[str, tuple[int, int]],
    canaries: str = "",
) -> int:
    """Each process's (ok, bad) in each second; a canary every 3 s of "g" or "b". Gives the end."""
    asked = iter(canaries)
    second = 0
    for number, second in enumerate(seconds):
        for process, (ok, bad) in counts.items():
            seen.add(process, ok, bad, float(second))
        seen.weigh(second + 0.9)
        if seen.suspicious and number % 3 == 0:
            found = next(asked, "")
            if found:
                seen.canary(found == "b", second + 0.9)
    return second + 1


def each(processes: Iterable[str], ok: int, bad: int) -> dict[str, tuple[int, int]]:
    return dict.fromkeys(processes, (ok, bad))


def test_a_third_of_the_requests_and_canaries_that_agree_are_a_breach_in_seconds() -> None:
    seen = traffic()
    end_s = said(seen, range(100, 115), each(FOUR, 2, 1), "gbg")
    assert seen.breached(end_s)
    assert (
        seen.clause() == "56 of 168 requests of 4 processes failed in 14 s, canaries agree (1 of 3)"
    )


@pytest.mark.parametrize("canaries", ["", "g", "gggg", "b", "bbbb"])
def test_no_fresh_bad_canary_no_breach(canaries: str) -> None:
    """None that was bad after a good one: reports alone, however many, move nothing."""
    seen = traffic()
    end_s = said(seen, range(100, 160), each(FOUR, 20, 10), canaries)
    assert seen.suspicious
    assert seen.nats == seen.threshold
    assert not seen.breached(end_s)


def test_a_bad_canary_agrees_for_a_minute() -> None:
    seen = traffic()
    end_s = said(seen, range(100, 120), each(FOUR, 2, 1), "gb")
    assert seen.breached(end_s)
    end_s = said(seen, range(120, 190), each(FOUR, 2, 1))
    assert not seen.breached(end_s)


@pytest.mark.parametrize(("liars", "breach"), [(1, False), (2, False), (3, True)])
def test_a_majority_of_processes_is_needed(liars: int, breach: bool) -> None:
    seen = traffic()
    bad = each(FOUR[:liars], 30, 20)
    end_s = said(seen, range(100, 130), {**each(FOUR[liars:], 2, 0), **bad}, "gbgbgb")
    assert seen.breached(end_s) is breach


def test_one_liar_among_few_cannot_even_raise_suspicion() -> None:
    seen = traffic()
    said(seen, range(100, 200), {**each(FOUR[1:], 2, 0), FOUR[0]: (0, 9_999_999)})
    assert not seen.suspicious
    assert seen.level == 0


def test_a_liar_that_says_all_is_well_does_not_drown_the_others() -> None:
    seen = traffic()
    fleet = [f"p{number}" for number in range(40)]
    end_s = said(seen, range(100, 140), {**each(fleet, 2, 1), "liar": (9_999_999, 0)}, "gb" * 9)
    assert seen.breached(end_s)


def test_a_fleet_whose_processes_have_one_request_each_can_agree() -> None:
    chance, seen = Random(1), traffic()
    for second in range(100, 120):
        for number in range(300):
            if number % 12 == second % 12:
                bad = chance.random() < 0.3
                seen.add(f"p{number}", not bad, bad, float(second))
    seen.weigh(122.0)
    assert seen.majority
    assert seen.suspicious


@pytest.mark.parametrize("lasts_s", [5, 12, 25, 45])
def test_a_blip_leaves_no_breach(lasts_s: int) -> None:
    """Everything fails, with mixed seconds at both ends and noise of 2 % around."""
    for seed in range(40):
        chance, seen = Random(seed), traffic()
        for second in range(200):
            into = second - 100
            share = 1.0 if 0 < into < lasts_s else 0.5 if into in (0, lasts_s) else 0.02
            for process in FOUR:
                bad = sum(chance.random() < share for _ in range(3))
                seen.add(process, 3 - bad, bad, float(second))
            seen.weigh(second + 0.5)
            if second % 3 == 0:
                seen.canary(chance.random() < share, second + 0.5)
            assert not seen.breached(second + 0.5), f"seed {seed}, {into} s into the blip"


def test_a_hard_outage_makes_suspicion_at_once_and_no_breach() -> None:
    """It is left to the canaries: a blip looks the same."""
    seen = traffic()
    end_s = said(seen, range(100, 104), each(FOUR, 0, 3), "b")
    assert seen.suspicious
    end_s = said(seen, range(104, 200), each(FOUR, 0, 3), "bgbgbgbbbbb")
    assert seen.suspicious
    assert not seen.breached(end_s)


def test_reports_that_canaries_contradict_are_not_believed_for_a_while() -> None:
    seen = traffic()
    end_s = said(seen, range(100, 220), each(FOUR, 2, 1), "g" * 40)
    assert not seen.suspicious
    assert "canaries contradicted them" in seen.explain(end_s)
    end_s = said(seen, range(3_000, 3_060), each(FOUR, 2, 1), "gb" * 10)
    assert not seen.suspicious
    end_s = said(seen, range(4_000, 4_060), each(FOUR, 2, 1), "gb" * 10)
    assert seen.breached(end_s)


def test_many_good_canaries_outweigh_one_bad() -> None:
    seen = traffic()
    end_s = said(seen, range(100, 142), each(FOUR, 2, 1), "g" * 10 + "b")
    assert seen.suspicious
    assert not seen.breached(end_s)
    assert REFUTED_NATS < 0


def test_processes_that_live_for_a_second_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions, or a liar: a new name each time, and evidence that does not end."""
    monkeypatch.setattr("prober.detection.report_evidence.MAX_PROCESSES", 20)
    seen = traffic()
    for second in range(100, 200):
        said(seen, [second], each((f"{name}{second}" for name in FOUR), 2, 1))
    assert seen.since_s is not None
    assert len(seen._processes) <= 20


def test_the_usual_share_of_failures_is_learned_and_no_evidence() -> None:
    """Two days of 3 % failures: what is usual for these applications."""
    chance, seen = Random(2), traffic()
    suspect = 0
    for second in range(0, 172_800, 20):
        for process in FOUR:
            bad = sum(chance.random() < 0.03 for _ in range(5))
            seen.add(process, 5 - bad, bad, float(second))
        seen.weigh(second + 2.0)
        suspect += seen.suspicious
    assert seen.learned == pytest.approx(0.03, abs=0.01)
    assert suspect < 0.005 * 172_800 / 20


def test_silence_and_old_counts_say_nothing() -> None:
    seen = traffic()
    said(seen, range(100, 110), each(FOUR, 2, 1))
    assert seen.suspicious
    seen.weigh(200.0)
    assert not seen.suspicious
    assert seen.nats == 0
    assert seen.explain(200.0) == ""


def test_two_requests_in_ten_seconds_say_nothing() -> None:
    seen = traffic()
    for second in range(0, 300, 10):
        seen.add("p1", 0, 2, float(second))
        seen.weigh(second + 9.0)
    assert seen.nats == 0


def test_a_tracker_breaches_by_reports_with_their_sentence_and_recovers_by_canaries() -> None:
    track = tracker()
    good(track, 5, 0, every_s=20)
    for second in range(100, 116):
        for process in FOUR:
            track.reported(process, 2, 1, float(second))
        track.tick(second + 0.5)
        if second in (105, 108, 111):
            bad = second == 108
            track.ended(sample(Outcome.OVERLOADED if bad else Outcome.OK, second, took_s=0.5))
            if second == 105:
                assert track.suspect, "so that canaries go fast"
    health, why = track.health(117.0)
    assert health is Health.BREACHED
    assert why == "36 of 108 requests of 4 processes failed in 9 s, canaries agree (1 of 2)"
    assert track.changes == [Change.BREACHED]
    assert track.breach.latched == {"availability"}
    assert track.breach.onset_at == pytest.approx(WALL + 100, abs=1)
    good(track, 65, 120)
    assert track.changes[-1] is Change.RECOVERED
    assert track.traffic is not None
    assert track.traffic.nats == 0


def test_reports_can_be_switched_off() -> None:
    track = tracker(reports=False)
    for second in range(100, 130):
        track.reported("p", 0, 5, float(second))
        track.tick(second + 0.5)
    assert track.traffic is None
    assert not track.suspect


def test_plain_thresholds_ask_no_reports() -> None:
    assert tracker(count=3).traffic is None
