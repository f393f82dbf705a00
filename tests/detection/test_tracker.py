"""From samples to Health: what a tracker believes, and when."""

from __future__ import annotations

import pytest

from prober.config.objectives import objectives_of
from prober.config.schema import DetectorSettings, Objectives, Route
from prober.detection.rules import TrackerRules
from prober.detection.tracker import Change, Tracker
from prober.sample import Outcome, Sample
from switch.flag import Health
from tests.support.trackers import breached, good, in_penalty, recover, tracker
from tests.support.values import WALL, sample

HANG = Outcome.TIMEOUT_FIRST_TEXT


# -- the order of events ---------------------------------------------------------------------------


def test_overlapping_canaries_are_judged_in_the_order_of_their_start() -> None:
    track = tracker(count=2)
    for id in ("first", "second", "third"):
        track.started(id)
    track.ended(sample(Outcome.OVERLOADED, 6, id="third"))
    track.ended(sample(at_s=3, id="second"))
    assert track.last is None
    track.ended(sample(Outcome.OVERLOADED, 0, took_s=20, id="first"))
    assert track.last is not None
    assert track.last.id == "third"
    # bad, good, bad: not two in a row, which the order of their ends would have made
    assert not track.breached


def test_a_canary_that_was_dropped_holds_up_no_other() -> None:
    track = tracker()
    track.started("first")
    track.started("second")
    track.ended(sample(at_s=3, id="second"))
    track.dropped("first")
    assert track.last is not None
    assert track.last.id == "second"


def test_a_hang_breaches_by_its_span_although_its_timeouts_overlap() -> None:
    track = tracker(alone=True)
    starts = [30.0 + 3.0 * number for number in range(20)]
    under_way: list[float] = []
    found: list[float] = []
    for start in starts:
        while under_way and (len(under_way) == 4 or under_way[0] + 8 <= start):
            first = under_way.pop(0)
            track.ended(sample(HANG, first, took_s=8, byte=False, id=str(first)))
            if track.breached and not found:
                found.append(first + 8)
        track.started(str(start))
        under_way.append(start)
    assert found == [30 + 45 + 2]
    assert track.breach.onset_at == WALL + 30


def test_a_hang_of_less_than_the_span_is_no_breach() -> None:
    track = tracker(alone=True)
    for number in range(12):
        track.ended(sample(HANG, 3.0 * number, took_s=8, byte=False))
    track.ended(sample(at_s=40))
    assert track.breached == frozenset()
    assert track.health(41)[0] is Health.SUSPECT


# -- path failures and their witness ---------------------------------------------------------------


PATH = [Outcome.DNS, Outcome.CONNECT, Outcome.TLS, Outcome.RESET]


@pytest.mark.parametrize("outcome", PATH)
def test_a_path_failure_waits_for_a_witness(outcome: Outcome) -> None:
    track = tracker(count=1)
    track.ended(sample(outcome, 10))
    assert track.path_pending
    assert track.pending_since_s == 11
    assert track.suspect
    state, why = track.health(12)
    assert (state, why) == (
        Health.UNKNOWN,
        f"{outcome.words}; no witness yet that our own network works",
    )
    assert not track.breached


@pytest.mark.parametrize(("witness_s", "judged"), [(9.9, False), (10.0, False), (10.1, True)])
def test_only_a_witness_that_started_later_counts(witness_s: float, judged: bool) -> None:
    track = tracker(count=1)
    track.ended(sample(Outcome.CONNECT, 10))
    track.witnessed(witness_s)
    assert bool(track.breached) is judged
    assert track.path_pending is not judged


def test_a_witness_may_come_before_the_failure_has_ended() -> None:
    track = tracker(count=1)
    track.started("slow")
    track.witnessed(12)
    track.witnessed(5)
    track.ended(sample(HANG, 10, took_s=8, byte=False, id="slow"))
    assert track.breached == {"availability"}


def test_a_path_failure_without_a_witness_is_dropped_after_a_while() -> None:
    track = tracker(count=1)
    track.ended(sample(Outcome.CONNECT, 10))
    track.ended(sample(at_s=13))
    # two base intervals and a timeout after its end
    track.tick(11 + 80)
    assert track.path_pending
    assert track.health(91)[1].startswith("no connection")
    track.tick(11 + 80.1)
    assert not track.path_pending
    assert track.pending_since_s == float("inf")
    assert track.last is not None
    assert track.last.ok
    assert not track.breached


def test_a_provider_on_this_machine_needs_no_witness() -> None:
    track = tracker(count=1, alone=True)
    track.ended(sample(Outcome.CONNECT, 10))
    assert track.breached == {"availability"}


def test_a_provider_s_own_error_needs_no_witness() -> None:
    track = tracker(count=1)
    track.ended(sample(HANG, 10))
    assert track.breached == {"availability"}


# -- proof, silence, gaps --------------------------------------------------------------------------


def test_proof_takes_four_good_ones() -> None:
    track = tracker()
    end_s = good(track, 3, 0)
    assert not track.proven(end_s)
    assert track.proof() == "3 of 3, slowest first text 0.5 s"
    end_s = good(track, 1, 9)
    assert track.proven(end_s)
    assert track.good_in_a_row == 4


def test_proof_grows_old() -> None:
    track = tracker()
    good(track, 4, 0)
    # the oldest of the four ended at 1
    assert track.proven(16)
    assert not track.proven(16.1)
    slow = tracker(suspect_interval_s=5)
    good(slow, 4, 0, 5)
    assert slow.proven(26)
    assert not slow.proven(26.1)


def test_one_bad_canary_ends_the_proof() -> None:
    track = tracker()
    good(track, 4, 0)
    track.ended(sample(Outcome.OVERLOADED, 12))
    assert not track.proven(13)
    assert track.recent_bad()
    assert track.proof() == "3 of 4, slowest first text 0.5 s"
    good(track, 3, 15)
    assert not track.proven(22)
    good(track, 1, 24)
    assert track.proven(25)
    assert not track.recent_bad()


def test_a_path_failure_waiting_for_its_witness_ends_the_proof_too() -> None:
    track = tracker()
    good(track, 4, 0)
    track.ended(sample(Outcome.RESET, 12))
    assert not track.proven(13)
    assert track.recent_bad()


def test_a_proof_without_a_good_one_says_what_went_wrong() -> None:
    track = tracker(alone=True)
    assert track.proof() == "0 of 0"
    track.ended(sample(HANG, 0, byte=False))
    assert track.proof() == "0 of 1, no first text in time"


def test_silence_is_unknown_and_not_well() -> None:
    track = tracker()
    assert track.health(0) == (Health.UNKNOWN, "no canary has ended yet")
    track.ended(sample(at_s=0))
    assert track.health(111)[0] is Health.OK
    assert track.health(111.1) == (Health.UNKNOWN, "no canary has ended for 110 s")


def test_a_time_gap_drops_evidence_and_what_is_under_way() -> None:
    track = tracker(alone=True)
    good(track, 4, 0)
    for at_s in (12, 18, 24):
        track.ended(sample(HANG, at_s, byte=False))
    track.started("across")
    track.started("ended")
    track.ended(sample(Outcome.OVERLOADED, 33, id="ended"))
    level = track.level
    assert level > 0
    track.forget()
    assert (track.level, track.good_in_a_row, track.path_pending) == (0, 0, False)
    assert not track.proven(26)
    track.ended(sample(HANG, 30, took_s=5000, byte=False, id="across"))
    assert track.level == 0
    assert not track.suspect
    track.ended(sample(HANG, 6000, byte=False))
    assert track.level > 0


def test_a_canary_dropped_after_a_gap_is_forgotten_for_good() -> None:
    track = tracker(count=1)
    track.started("x")
    track.forget()
    track.dropped("x")
    track.ended(sample(Outcome.OVERLOADED, 5, id="x"))
    assert track.breached


def test_a_time_gap_keeps_a_breach_but_not_the_way_back() -> None:
    track = breached()
    good(track, 40, 3)
    track.forget()
    assert track.breached == {"availability"}
    assert track.breach.score == 0


def test_latency_and_quality_are_moving_averages() -> None:
    track = tracker()
    track.ended(sample(first_text_s=1.0))
    assert (track.latency_s, track.quality) == (1.0, 1.0)
    track.ended(sample(at_s=3, first_text_s=2.0))
    assert track.latency_s == pytest.approx(2**0.1)
    track.ended(sample(Outcome.WRONG_ANSWER, 6))
    assert track.quality == pytest.approx(0.9)
    track.ended(sample(at_s=9, first_text_s=None))
    assert track.latency_s == pytest.approx(2**0.1)


def test_answers_after_a_retry_inside_a_gateway_are_counted_among_the_newest_good_ones() -> None:
    track = tracker()
    assert track.retries.clause() == ""
    for number in range(24):
        track.ended(sample(at_s=3.0 * number, retried=int(number % 8 == 7)))
    assert track.retries.clause() == "3 of 24 good only after a retry inside the gateway"
    track.ended(sample(Outcome.OVERLOADED, 72, retried=1))
    assert track.retries.clause().startswith("3 of 24 ")
    # In the calm of a simulation they are told together.
    ended = [(100.0 + 3 * n, 101.0 + 3 * n, 0.5) for n in range(90)]
    track.went_well(ended, sample(at_s=367))
    assert track.retries.clause() == "2 of 100 good only after a retry inside the gateway"
    good(track, 20, 400)
    assert track.retries.clause() == ""


def test_where_retried_answers_are_bad_they_are_no_proof_and_breach() -> None:
    route = Route(name="chat", candidates=("a",), objectives=Objectives(retried="bad"))
    track = Tracker("a", objectives_of(route), TrackerRules())
    good(track, 4, 0)
    assert track.proven(11)
    track.ended(sample(at_s=12, retried=1))
    assert not track.proven(13)
    for number in range(40):
        track.ended(sample(at_s=15 + 3.0 * number, retried=number % 2))
    assert track.breached == {"availability"}
    assert "(retried inside the gateway)" in track.health(140)[1]


# -- across a restart ------------------------------------------------------------------------------


def saved() -> Tracker:
    track = tracker()
    for number in range(6):
        track.ended(sample(Outcome.OVERLOADED, 6.0 * number))
        track.ended(sample(at_s=6.0 * number + 3))
    good(track, 10, 40)
    return track


def test_what_was_saved_is_believed_whole_when_fresh() -> None:
    whole, again = saved(), tracker()
    again.load(whole.dump(), fresh=True)
    for track in (whole, again):
        good(track, 60, 80)
    assert again.breach.dump() == whole.breach.dump()
    for name in ("latency_s", "quality", "level"):
        assert getattr(again, name) == getattr(whole, name)
    end_s = good(whole, 1, 600)
    good(again, 1, 600)
    assert again.health(end_s) == whole.health(end_s)
    assert again.health(end_s)[0] is Health.RECOVERING


def test_the_wait_after_a_recovery_outlives_a_restart() -> None:
    whole, again = breached(healthy_for_s=600), tracker(count=1, healthy_for_s=600)
    end_s = recover(whole, 3)
    again.load(whole.dump(), fresh=True)
    assert in_penalty(again, end_s + 599)
    assert not in_penalty(again, end_s + 600)
    # and so does the memory of it: this is a relapse
    at_s = end_s + 700
    again.ended(sample(Outcome.OVERLOADED, at_s))
    end_s = recover(again, at_s + 3)
    assert in_penalty(again, end_s + 1199)


def test_a_tracker_without_a_past_loads_as_one() -> None:
    again = tracker()
    again.load(tracker().dump(), fresh=True)
    end_s = good(again, 4, 0)
    assert again.health(end_s)[0] is Health.OK


def test_otherwise_only_what_was_learned_is_believed() -> None:
    whole, again = saved(), tracker()
    again.load(whole.dump(), fresh=False)
    assert again.breached == frozenset()
    assert (again.level, again.breach.score, again.breach.onset_at) == (0, 0, None)
    assert (again.latency_s, again.quality) == (whole.latency_s, whole.quality)
    learned = again.dump()["evidence"]["availability"]["detector"]["learned"]
    assert learned == whole.dump()["evidence"]["availability"]["detector"]["learned"] > 0.01


def test_an_objective_that_is_new_starts_clean() -> None:
    state = saved().dump()
    state["evidence"] = {}
    again = tracker()
    again.load(state, fresh=True)
    assert again.level == 0


def test_an_incident_from_before_a_restart_is_bad_until_recovered() -> None:
    track = tracker()
    track.breach.restore(["availability"], "it was bad", 7.0)
    assert track.health(0) == (Health.BREACHED, "it was bad")
    assert track.breach.onset_at == 7.0
    recover(track, 0)
    assert in_penalty(track, 700)


def test_the_primary_s_incident_goes_on_without_moving_the_flag() -> None:
    track = tracker()
    track.breach.resume(7.0)
    assert track.breached == frozenset()
    track.ended(sample(Outcome.OVERLOADED, 0))
    assert track.breach.score == 0
    end_s = good(track, 64, 3)
    assert track.changes == []
    end_s = good(track, 1, end_s + 3)
    assert track.changes == [Change.RECOVERED]
    assert not track.breach.resumed
    # it never was left, so it owes no waiting
    assert track.health(end_s)[0] is Health.OK


def test_a_resumed_primary_that_breaches_again_is_breached() -> None:
    track = tracker(count=1)
    track.breach.resume(7.0)
    track.ended(sample(Outcome.OVERLOADED, 0))
    assert track.breached == {"availability"}
    assert (track.breach.resumed, track.changes) == (False, [Change.BREACHED])


def test_what_is_judged_is_the_newest_sample() -> None:
    track = tracker()
    samples: list[Sample] = [sample(at_s=at_s) for at_s in (0, 3, 6)]
    for one in samples:
        track.ended(one)
    assert track.last is samples[-1]


def test_a_window_that_fills_up_with_a_good_canary_breaches_all_the_same() -> None:
    """Its minimum of samples was all that was missing."""
    detector = DetectorSettings(kind="share", bad_share=0.5, min_samples=5)
    route = Route(name="chat", candidates=("a",), detector=detector)
    track = Tracker("a", objectives_of(route), TrackerRules())
    for number, outcome in enumerate((Outcome.OVERLOADED,) * 4 + (Outcome.OK,)):
        assert track.health(number)[0] is not Health.BREACHED
        track.ended(sample(outcome, number * 3.0))
    assert track.health(15)[0] is Health.BREACHED
