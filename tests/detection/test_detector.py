"""The rule of docs/detection.md, to the digit."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.config.objectives import Dials
from prober.detection.detector import LEARN_CAP, Detector, Fresh, KOfN, WindowShare
from tests.support.values import STEADY

NORMAL = Dials(p0=0.01, p1=0.15, evidence=11.0, min_span_s=45.0)


def feed(detector: Detector, events: str, every_s: float = 3.0, took_s: float = 1.0) -> None:
    """'x' is bad, '.' is good."""
    for number, event in enumerate(events):
        at_s = number * every_s
        detector.event(event == "x", at_s, at_s + took_s, False)


def points_after(events: str) -> float:
    detector = Fresh(NORMAL)
    feed(detector, events)
    return detector.points


def test_the_dials_of_the_documentation_come_out_to_the_digit() -> None:
    detector = Fresh(NORMAL)
    unit = math.log(0.99 / 0.85)
    assert detector.fresh == pytest.approx(math.log(15) / unit)
    assert (f"{detector.fresh:.1f}", f"{detector.fresh:.0f}") == ("17.8", "18")
    assert f"{detector.fresh / 3:.0f}" == "6"
    assert f"{detector.threshold:.0f}" == "72"
    assert detector.threshold == pytest.approx(11 / unit)


def test_calm_needs_95_points() -> None:
    assert f"{Fresh(Dials(0.01, 0.15, 14.5, 90)).threshold:.0f}" == "95"


@pytest.mark.parametrize(("streak", "weight"), [(1, 1), (2, 4 / 3), (3, 5 / 3), (4, 2), (9, 2)])
def test_a_streak_never_weighs_more_than_two_fresh_failures(streak: int, weight: float) -> None:
    assert points_after("x" * streak) == pytest.approx(weight * Fresh(NORMAL).fresh)


@pytest.mark.parametrize(
    ("events", "points"), [("x.", 16.762), ("x..", 15.762), ("." * 9, 0), ("x" + "." * 18, 0)]
)
def test_a_good_event_takes_one_point_away_and_never_goes_below_none(
    events: str, points: float
) -> None:
    assert points_after(events) == pytest.approx(points, abs=0.001)


def test_separated_failures_breach_at_the_fifth_and_not_at_the_fourth() -> None:
    detector = Fresh(NORMAL)
    feed(detector, "x.x.x.x")
    assert detector.points == pytest.approx(4 * detector.fresh - 3)
    assert not detector.breached
    detector.event(False, 30, 31, False)
    detector.event(True, 33, 34, False)
    assert detector.breached
    assert detector.points == detector.threshold


@pytest.mark.parametrize("every_s", [0.5, 3, 5])
def test_a_blip_shorter_than_the_span_never_breaches_however_many_canaries_it_meets(
    every_s: float,
) -> None:
    detector = Fresh(NORMAL)
    feed(detector, "x" * int(43.9 / every_s), every_s)
    assert not detector.breached


def test_an_unbroken_streak_breaches_when_it_spans_the_minimum() -> None:
    detector = Fresh(NORMAL)
    for number in range(15):
        detector.event(True, number * 3.0, number * 3.0 + 2.9, False)
        assert not detector.breached
    detector.event(True, 43, 45, False)
    assert detector.breached


def test_how_near_a_breach_is_counts_the_span_of_a_streak_too() -> None:
    detector = Fresh(NORMAL)
    feed(detector, "x" * 8, took_s=0.3)
    assert detector.points / detector.threshold < 0.5
    assert detector.level == pytest.approx((7 * 3 + 0.3) / 45, abs=0.03)
    feed(detector, "x" * 10, took_s=0.3)
    assert detector.level < 1
    detector.event(False, 30, 31, False)
    assert detector.level < 0.5


@pytest.mark.parametrize(("count", "breached"), [(3, False), (4, True)])
def test_a_long_streak_needs_four_failures_too(count: int, breached: bool) -> None:
    detector = Fresh(NORMAL)
    feed(detector, "x" * count, every_s=30)
    assert detector.breached is breached


def test_the_span_starts_anew_after_a_good_event() -> None:
    detector = Fresh(NORMAL)
    feed(detector, "xx.xxxx", every_s=10)
    assert not detector.breached


def test_two_blips_within_seconds_do_not_breach_and_a_third_does() -> None:
    detector = Fresh(NORMAL)
    feed(detector, "xxxx.xxxx")
    assert not detector.breached
    feed(detector, ".xxxx")
    assert detector.breached


def test_a_breach_stays_until_it_is_reset() -> None:
    detector = Fresh(NORMAL)
    feed(detector, "x" * 20)
    feed(detector, "." * 200)
    assert (detector.breached, detector.level) == (True, 1.0)
    detector.reset()
    assert (detector.breached, detector.level, detector.points, detector.streak) == (False, 0, 0, 0)


def learning(p0: float = 0.01, over: int = 100, p1: float = 0.15) -> Fresh:
    return Fresh(Dials(p0, p1, learn_over=over))


def test_only_canaries_at_the_base_rate_teach() -> None:
    detector = learning()
    feed(detector, "x.x....")
    assert detector.learned == 0.01
    detector.reset()
    detector.event(True, 0, 1, True)
    assert detector.learned == pytest.approx(0.01 + 0.99 / 100)
    detector.event(True, 0, 1, True)
    assert detector.learned == pytest.approx(0.0199), "under suspicion nothing is learned"
    detector.reset()
    detector.event(False, 0, 1, True)
    assert detector.learned == pytest.approx(0.0199 * 0.99)


def test_without_a_window_nothing_is_learned() -> None:
    detector = Fresh(NORMAL)
    detector.event(True, 0, 1, True)
    assert detector.learned == 0.01


def test_the_dials_move_only_while_there_is_no_evidence() -> None:
    detector = learning()
    before = detector.fresh, detector.threshold
    detector.event(True, 0, 1, True)
    while detector.points > 1:
        detector.event(False, 0, 1, True)
    assert (detector.fresh, detector.threshold) == before
    detector.event(False, 0, 1, True)
    assert (detector.fresh, detector.threshold) == before
    detector.event(False, 0, 1, True)
    assert detector.fresh < before[0]
    assert detector.threshold > before[1]


def test_a_good_canary_under_suspicion_moves_no_dial() -> None:
    detector = learning()
    detector.learned = 0.04
    before = detector.fresh
    detector.event(False, 0, 1, False)
    assert detector.fresh == before


@pytest.mark.parametrize(("learned", "used"), [(0.0, 0.01), (0.03, 0.03), (0.9, LEARN_CAP)])
def test_what_was_learned_is_clipped(learned: float, used: float) -> None:
    detector = learning()
    detector.learned = learned
    detector.reset()
    plain = Fresh(Dials(used, 0.15))
    assert (detector.fresh, detector.threshold) == (plain.fresh, plain.threshold)


def test_an_objective_looser_than_the_cap_keeps_its_own_share() -> None:
    detector = learning(p0=0.1, p1=0.5)
    detector.learned = 0.9
    detector.reset()
    assert detector.fresh == Fresh(Dials(0.1, 0.5)).fresh


def test_learning_never_turns_the_rule_on_its_head() -> None:
    """A share worth a flip below the cap: noise that was learned must not make it negative."""
    detector = learning(p1=0.04)
    detector.learned = 0.05
    detector.reset()
    assert detector.fresh == Fresh(Dials(0.02, 0.04)).fresh
    detector.event(True, 0, 1, True)
    assert not detector.breached


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ("", "evidence 0.0 of 72, about 5 more failures"),
        ("x", "evidence 17.8 of 72, about 4 more failures"),
        ("xxx", "evidence 29.6 of 72, about 3 more failures"),
        ("xxxx", "evidence 35.5 of 72, breached in about 35 s if nothing succeeds"),
        ("xxxxxxxxx", "evidence 35.5 of 72, breached in about 20 s if nothing succeeds"),
        ("xxxxxxxxx.", "evidence 34.5 of 72, about 3 more failures"),
        ("x.x.x.x", "evidence 68.0 of 72, about 1 more failure"),
        ("x.x.x.x.x", "evidence 72 of 72"),
    ],
)
def test_fresh_says_its_evidence_against_its_threshold(events: str, words: str) -> None:
    detector = Fresh(NORMAL)
    feed(detector, events)
    assert detector.explain() == words


@pytest.mark.parametrize(
    ("events", "breached"),
    [("xx", False), ("xxx", True), ("xx.xx", False), ("xx.xxx", True), ("xxx...", True)],
)
def test_in_a_row_means_without_a_good_one_between(events: str, breached: bool) -> None:
    detector = KOfN(3, 3)
    feed(detector, events)
    assert detector.breached is breached


@pytest.mark.parametrize(
    ("events", "breached"),
    [("x.x.x", True), ("xx...x", False), ("x..xx", True), ("xx..", False)],
)
def test_k_of_n_looks_at_the_last_n(events: str, breached: bool) -> None:
    detector = KOfN(3, 5)
    feed(detector, events)
    assert detector.breached is breached


def test_k_of_n_says_how_near_it_is() -> None:
    detector = KOfN(4, 8)
    feed(detector, "x.x")
    assert (detector.level, detector.explain()) == (0.5, "2 bad of the last 8, breached at 4")
    feed(detector, "xx")
    assert detector.level == 1.0
    detector.reset()
    assert (detector.level, detector.breached) == (0, False)
    row = KOfN(2, 2)
    feed(row, "x")
    assert row.explain() == "1 bad in a row, breached at 2"


def test_a_share_needs_its_minimum_of_samples() -> None:
    detector = WindowShare(0.5, 300, 5)
    feed(detector, "xxxx")
    assert not detector.breached
    detector.event(True, 20, 21, True)
    assert detector.breached


@pytest.mark.parametrize(("events", "breached"), [(".x.x.x", False), (".x.xx", True)])
def test_a_share_must_be_passed_and_not_only_reached(events: str, breached: bool) -> None:
    detector = WindowShare(0.5, 300, 5)
    feed(detector, events)
    assert detector.breached is breached


def test_what_left_the_window_no_longer_counts() -> None:
    detector = WindowShare(0.5, 60, 3)
    feed(detector, "xx")
    assert detector.level == 1.0
    detector.event(False, 100, 101, True)
    assert (detector.level, detector.breached) == (0, False)
    assert detector.explain() == "0 of 1 bad in the last 60 s, breached above 50% of at least 3"
    feed(detector, "xxx")
    assert (detector.level, detector.breached) == (1.0, True)
    detector.reset()
    assert (detector.level, detector.breached) == (0, False)


def makers() -> list[Detector]:
    return [learning(over=20), KOfN(3, 3), KOfN(3, 5), WindowShare(0.4, 20, 4)]


EVENTS = st.lists(st.tuples(st.booleans(), st.floats(0, 20), st.booleans()), max_size=60)


@pytest.mark.parametrize("kind", range(4))
@STEADY
@given(before=EVENTS, after=EVENTS)
def test_a_detector_that_was_saved_goes_on_as_if_nothing_had_happened(
    kind: int, before: list[tuple[bool, float, bool]], after: list[tuple[bool, float, bool]]
) -> None:
    whole, again = makers()[kind], makers()[kind]
    now_s = 0.0
    for bad, gap_s, base in before:
        now_s += gap_s
        whole.event(bad, now_s, now_s + 1, base)
    again.load(json.loads(json.dumps(whole.dump())))
    for bad, gap_s, base in after:
        now_s += gap_s
        for detector in (whole, again):
            detector.event(bad, now_s, now_s + 1, base)
        assert (again.breached, again.level) == (whole.breached, whole.level)
        assert again.explain() == whole.explain()


@pytest.mark.parametrize("kind", range(4))
def test_loading_replaces_what_was_there(kind: int) -> None:
    saved = makers()[kind].dump()
    detector = makers()[kind]
    feed(detector, "xxxxxxxx")
    detector.load(json.loads(json.dumps(saved)))
    assert (detector.level, detector.breached) == (0, False)


@STEADY
@given(st.lists(st.booleans(), max_size=400))
def test_points_stay_between_nothing_and_the_threshold(events: list[bool]) -> None:
    detector = learning(over=50)
    for number, bad in enumerate(events):
        detector.event(bad, number, number + 1, True)
        assert 0 <= detector.points <= detector.threshold
        assert 0 <= detector.level <= 1
        assert 0 <= detector.learned <= 1
