"""What a good canary is, for each objective, and how its detector is tuned."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from prober.config.objectives import Dials, Objective, objectives_of
from prober.config.schema import DetectorSettings, Failover, Limit, Objectives, Route
from prober.config.types import DetectorKind
from prober.detection.detector import Fresh, KOfN, WindowShare
from prober.detection.evidence import Evidence, detector_of
from prober.sample import FAULT, WORDS, Fault, Outcome, Phases, Sample, Tokens
from tests.support.values import sample

AVAILABILITY = Objective("availability", DetectorSettings(), dials=Dials(0.01, 0.15))
QUALITY = Objective("quality", DetectorSettings(), dials=Dials(0.05, 0.5))
TTFT = Objective("ttft", DetectorSettings(), limit_s=3.0, dials=Dials(0.05, 0.5))
TOTAL = Objective("total", DetectorSettings(), limit_s=2.0, dials=Dials(0.05, 0.5))
SPEED = Objective("tokens_per_s", DetectorSettings(), least=10.0, dials=Dials(0.05, 0.5))

UNAVAILABLE = {
    Fault.NONE: False,
    Fault.QUALITY: False,
    Fault.PROVIDER: True,
    Fault.PATH: True,
    Fault.CAPACITY: True,
    Fault.ACCOUNT: None,
    Fault.CANARY: None,
}


@pytest.mark.parametrize("outcome", Outcome)
def test_availability_follows_whose_fault_it_is(outcome: Outcome) -> None:
    assert AVAILABILITY.bad(sample(outcome)) is UNAVAILABLE[FAULT[outcome]]


def test_every_outcome_has_a_fault_and_words() -> None:
    assert set(FAULT) == set(WORDS) == set(Outcome)
    assert Outcome.OVERLOADED.words == "overloaded"


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT_FIRST_TEXT, Outcome.TIMEOUT_TOTAL])
def test_a_timeout_without_one_byte_may_be_our_own_network_s(outcome: Outcome) -> None:
    assert sample(outcome, byte=False).fault is Fault.PATH
    assert sample(outcome).fault is Fault.PROVIDER


def test_a_429_counts_at_the_base_rate_only() -> None:
    assert AVAILABILITY.bad(sample(Outcome.RATE_LIMITED)) is True
    assert AVAILABILITY.bad(sample(Outcome.RATE_LIMITED, base_rate=False)) is None


def test_a_route_can_leave_429_out() -> None:
    route = Route(
        name="chat", candidates=("a",), failover=Failover(count_rate_limited=False)
    )  # fmt: skip
    assert objectives_of(route)[0].bad(sample(Outcome.RATE_LIMITED)) is None


@pytest.mark.parametrize(
    ("outcome", "bad"),
    [
        (Outcome.OK, False),
        (Outcome.WRONG_ANSWER, True),
        (Outcome.REFUSAL, True),
        (Outcome.OVERLOADED, None),
        (Outcome.AUTH, None),
    ],
)
def test_quality_knows_answers_only(outcome: Outcome, bad: bool | None) -> None:
    assert QUALITY.bad(sample(outcome)) is bad


def test_a_clause_says_that_they_were_retried() -> None:
    availability = objectives_of(route(retried="bad"))[0]
    evidence = Evidence(availability, 30.0)
    for at_s, retried in ((0, 1), (3, 0), (6, 2)):
        evidence.event(sample(at_s=at_s, retried=retried))
    assert evidence.clause() == "2 of 3 canaries failed in 7 s (retried inside the gateway)"


@pytest.mark.parametrize(("said", "bad"), [({}, False), ({"retried": "bad"}, True)])
def test_a_route_may_say_that_retried_answers_are_bad(said: dict[str, Any], bad: bool) -> None:
    availability = objectives_of(route(**said))[0]
    assert availability.bad(sample(retried=1)) is bad
    assert availability.bad(sample()) is False


@pytest.mark.parametrize(("first_s", "bad"), [(2.9, False), (3.0, False), (3.1, True)])
def test_ttft_is_bad_above_its_limit(first_s: float, bad: bool) -> None:
    assert TTFT.bad(sample(first_text_s=first_s, took_s=4)) is bad


@pytest.mark.parametrize(("took_s", "bad"), [(2.0, False), (2.1, True)])
def test_total_is_bad_above_its_limit(took_s: float, bad: bool) -> None:
    assert TOTAL.bad(sample(took_s=took_s)) is bad


@pytest.mark.parametrize(
    ("output", "bad"), [(20, False), (10, False), (9, True), (None, None), (0, None)]
)
def test_speed_counts_from_the_first_text_to_the_end(output: int | None, bad: bool | None) -> None:
    assert SPEED.bad(sample(first_text_s=0.5, took_s=1.5, output=output)) is bad


def test_an_answer_in_one_moment_has_no_speed() -> None:
    assert sample(first_text_s=1.0, took_s=1.0, output=5).tokens_per_s is None


@pytest.mark.parametrize("objective", [TTFT, TOTAL, SPEED])
def test_a_failed_canary_says_nothing_of_latency(objective: Objective) -> None:
    assert objective.bad(sample(Outcome.OVERLOADED, took_s=9, output=1)) is None


def test_an_answer_without_known_times_says_nothing_of_latency() -> None:
    bare = Sample("x", "a", "v", "m", 0, 0, Outcome.OK, Phases(), Tokens())
    assert TTFT.bad(bare) is None
    assert Objective("total", DetectorSettings()).bad(bare) is None
    assert SPEED.bad(bare) is None
    assert Objective("tokens_per_s", DetectorSettings()).bad(sample(output=5)) is None


def route(detector: DetectorSettings | None = None, **objectives: object) -> Route:
    return Route(
        name="chat",
        candidates=("a",),
        detector=detector or DetectorSettings(),
        objectives=Objectives.model_validate(objectives),
    )


def dials_of(found: Route) -> dict[str, Dials | None]:
    return {objective.name: objective.dials for objective in objectives_of(found)}


def test_only_what_the_route_names_is_judged_besides_availability() -> None:
    quality = {"quality": Dials(0.1, 0.3)}
    assert dials_of(route()) == {"availability": Dials(1 - 0.99, 0.15), **quality}
    assert dials_of(route(quality=False)) == {"availability": Dials(1 - 0.99, 0.15)}


def test_latency_and_quality_have_a_share_worth_telling_of_their_own() -> None:
    detector = DetectorSettings(flip_bad_share=0.2)
    found = dials_of(route(detector, ttft=Limit(under="3s")))
    assert found["availability"] == Dials(1 - 0.99, 0.2)
    assert found["ttft"] == Dials(1 - 0.95, 0.5)
    assert found["quality"] == Dials(0.1, 0.3)


@pytest.mark.parametrize("kind", [DetectorKind.NORMAL, DetectorKind.CALM, DetectorKind.EAGER])
@pytest.mark.parametrize("share", [0.61, 0.75, 0.8, 0.9, 0.99])
def test_whatever_share_of_answers_must_be_right_the_sum_never_turns_on_its_head(
    kind: DetectorKind, share: float
) -> None:
    dials = dials_of(route(DetectorSettings(kind=kind), quality=share))["quality"]
    assert dials is not None
    assert 0 < dials.p0 <= dials.p1 / 2 < 1 / 2
    detector = Fresh(dials)
    assert 0 < detector.fresh < detector.threshold


def test_what_may_be_wrong_anyway_is_not_learned() -> None:
    quality = next(o for o in objectives_of(route()) if o.name == "quality")
    detector = detector_of(quality, 30)
    assert isinstance(detector, Fresh)
    assert detector.dials.learn_over == 0


def test_an_objective_s_own_detector_has_its_own_share() -> None:
    limit = Limit(under="3s", detector=DetectorSettings(flip_bad_share=0.3, evidence=5.0))
    found = dials_of(route(ttft=limit, total=Limit(under="9s", detector=DetectorSettings())))
    assert found["ttft"] == Dials(1 - 0.95, 0.3, 5.0)
    assert found["total"] == Dials(1 - 0.95, 0.5)


@pytest.mark.parametrize(
    ("kind", "dials"),
    [
        (DetectorKind.FRESH, Dials(1 - 0.99, 0.15, 7.0, 20.0)),
        (DetectorKind.NORMAL, Dials(1 - 0.99, 0.15, 7.0, 20.0)),
        (DetectorKind.CALM, Dials(1 - 0.99, 0.15, 14.5, 90.0)),
        (DetectorKind.EAGER, Dials(0.004, 0.15, 7.0, 20.0)),
        (DetectorKind.SHARE, None),
    ],
)
def test_presets_turn_the_dials(kind: DetectorKind, dials: Dials | None) -> None:
    detector = DetectorSettings(kind=kind, evidence=7.0, min_span=timedelta(seconds=20))
    assert dials_of(route(detector, quality=False)) == {"availability": dials}


def test_eager_keeps_an_objective_that_is_stricter_than_its_floor() -> None:
    found = dials_of(route(DetectorSettings(kind=DetectorKind.EAGER), availability=0.999))
    assert found["availability"] == Dials(1 - 0.999, 0.15)


def test_learning_takes_seven_days_of_canaries_at_the_base_rate() -> None:
    detector = detector_of(AVAILABILITY, 30)
    assert isinstance(detector, Fresh)
    assert detector.dials.learn_over == 7 * 86_400 / 30
    fixed = detector_of(
        Objective("availability", DetectorSettings(learn=False), dials=Dials(0.01, 0.15)), 30
    )
    assert isinstance(fixed, Fresh)
    assert fixed.dials.learn_over == 0


def test_plain_thresholds_are_built_as_configured() -> None:
    row = detector_of(
        Objective("availability", DetectorSettings(kind=DetectorKind.CONSECUTIVE, count=4)), 30
    )
    k_of_n = detector_of(
        Objective("availability", DetectorSettings(kind=DetectorKind.K_OF_N, count=3, of=2)), 30
    )
    config = DetectorSettings(
        kind=DetectorKind.SHARE, bad_share=0.3, window=timedelta(minutes=1), min_samples=7
    )
    share = detector_of(Objective("availability", config), 30)
    assert isinstance(row, KOfN)
    assert row.explain() == "0 bad in a row, breached at 4"
    assert isinstance(k_of_n, KOfN)
    assert k_of_n.explain() == "0 bad in a row, breached at 3"
    assert isinstance(share, WindowShare)
    assert (share.share, share.window_s, share.min_samples) == (0.3, 60.0, 7)


def clause_of(objective: Objective, *samples: Sample) -> str:
    evidence = Evidence(objective, 30)
    for one in samples:
        evidence.event(one)
    return evidence.clause()


def test_a_clause_counts_from_the_first_bad_canary_to_the_end_of_the_last() -> None:
    found = clause_of(
        AVAILABILITY,
        sample(at_s=0),
        sample(Outcome.OVERLOADED, 30),
        sample(at_s=33),
        sample(Outcome.AUTH, 36),
        sample(Outcome.OVERLOADED, 36),
        sample(Outcome.SERVER_ERROR, 39, took_s=2),
    )
    assert found == "3 of 4 canaries failed in 11 s (overloaded, server error)"


@pytest.mark.parametrize(
    ("objective", "bad", "words"),
    [
        (QUALITY, sample(Outcome.REFUSAL), "1 of 1 answers wrong in 1 s"),
        (SPEED, sample(output=1), "1 of 1 canaries ran under 10 tokens/s in 1 s"),
        (
            TTFT,
            sample(first_text_s=3.5, took_s=4),
            "1 of 1 canaries needed over 3 s to first text in 4 s",
        ),
        (TOTAL, sample(took_s=4), "1 of 1 canaries needed over 2 s to the whole answer in 4 s"),
    ],
)
def test_each_objective_has_its_own_words(objective: Objective, bad: Sample, words: str) -> None:
    assert clause_of(objective, bad) == words


def test_there_is_nothing_to_say_once_all_evidence_is_gone() -> None:
    evidence = Evidence(AVAILABILITY, 30)
    evidence.event(sample(Outcome.OVERLOADED, 0))
    for number in range(18):
        assert evidence.clause()
        evidence.event(sample(at_s=number + 1))
    assert (evidence.clause(), evidence.since_at, evidence.total) == ("", None, 0)


def test_evidence_that_was_saved_says_the_same() -> None:
    evidence, again = Evidence(AVAILABILITY, 30), Evidence(AVAILABILITY, 30)
    evidence.event(sample(Outcome.OVERLOADED, 0))
    evidence.event(sample(at_s=3))
    again.load(evidence.dump())
    for one in (evidence, again):
        one.event(sample(Outcome.RESET, 6))
    assert again.clause() == evidence.clause()
    assert again.clause().startswith("2 of 3 canaries failed in 7 s")
    again.reset()
    assert (again.clause(), again.detector.level) == ("", 0)
