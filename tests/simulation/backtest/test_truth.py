"""What is called an incident of history."""

from __future__ import annotations

from pathlib import Path

import pytest

from prober.config.loader import parse
from prober.history.store.queries import Taken
from prober.sample import Sample
from prober.simulation.backtest.truth import RecordedIncident, Truth
from tests.support.histories import AT, canaries, configuration

HOUR_S = 3_600.0
END = AT + 12 * HOUR_S


def known(
    samples: list[Sample], *recorded: tuple[float, float | None]
) -> tuple[RecordedIncident, ...]:
    config = parse(configuration(Path(), "sqlite:///x"))
    truth = Truth(config, config.route[0])
    truth.feed(
        [
            Taken(s.id, s.provider, s.started_at, s.outcome.value, 0.2, s.phases.first_text_s,
                  s.phases.total_s, 8, None, s.base_rate, "")
            for s in samples
        ]
    )  # fmt: skip
    rows = [
        {
            "provider": "a",
            "opened_at": AT + opened,
            "closed_at": None if closed is None else AT + closed,
        }
        for opened, closed in recorded
    ]
    return truth.incidents(rows, END)


def spell(start_s: float, length_s: float, share: float = 1.0) -> list[Sample]:
    return canaries(
        4 * HOUR_S,
        lambda n, s, c: n == "a" and start_s <= s < start_s + length_s and c < share,
    )


def test_a_stretch_of_bad_canaries_is_an_incident_from_its_first_to_its_last() -> None:
    [found] = known(spell(HOUR_S + 100, 1_200))
    assert (found.provider, found.source) == ("a", "measured")
    assert found.start == pytest.approx(AT + HOUR_S + 100, abs=30)
    assert found.end == pytest.approx(AT + HOUR_S + 1_300, abs=30)


def test_a_third_of_the_canaries_is_enough() -> None:
    assert len(known(spell(HOUR_S, 1_800, 0.33))) == 1


@pytest.mark.parametrize("start_s", [HOUR_S, HOUR_S + 140, HOUR_S + 280, HOUR_S + 290])
def test_a_blip_is_none_wherever_the_window_begins(start_s: float) -> None:
    """Under suspicion there are ten canaries in it; they stand for its half minute and no more."""
    assert known(spell(start_s, 30)) == ()


def test_what_was_recorded_counts_and_takes_in_what_was_measured() -> None:
    samples = spell(HOUR_S, 1_200)
    [both] = known(samples, (HOUR_S, HOUR_S + 1_500))
    assert both.source == "both"
    assert both.end < AT + HOUR_S + 1_300, "its end is when it was well, not when that was certain"
    [first, second] = known(samples, (3 * HOUR_S, 3 * HOUR_S + 60))
    assert (first.source, second.source) == ("measured", "recorded")


def test_an_incident_that_goes_on_ends_with_the_record() -> None:
    [found] = known(spell(0, 0), (3 * HOUR_S, None))
    assert (found.source, found.end) == ("recorded", END)
