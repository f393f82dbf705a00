"""Recorded canaries with a known outage, replayed by different settings."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from prober.config.overrides import changed
from prober.config.schema import Config
from prober.history.store.queries import Taken
from prober.sample import Outcome, Sample
from prober.simulation.backtest.compare import Column, column
from prober.simulation.backtest.replay import Replay
from prober.simulation.backtest.truth import RecordedIncident, Truth
from tests.support.histories import AT, canaries, configuration

HOUR_S = 3_600.0
DAY_S = 86_400.0
OUTAGE = (5 * HOUR_S, 6 * HOUR_S)


def partial(name: str, at_s: float, chance: float) -> bool:
    """An hour in which 40 % of a's requests fail; three blips of 20 s before."""
    blip = any(start <= at_s < start + 20 for start in (HOUR_S, 2 * HOUR_S, 3 * HOUR_S))
    outage = OUTAGE[0] <= at_s < OUTAGE[1] and chance < 0.4
    return name == "a" and (blip or outage)


def settings(detector: str | None = None, *sets: str) -> Config:
    raw = tomllib.loads(configuration(Path(), "sqlite:///x"))
    return changed(raw, "chat", detector=detector, sets=sets)


def taken(samples: Sequence[Sample]) -> list[Taken]:
    return [
        Taken(
            s.id, s.provider, s.started_at, s.outcome.value, s.phases.first_byte_s,
            s.phases.first_text_s, s.phases.total_s, s.tokens.output, None, s.base_rate, s.detail,
            s.retried,
        )
        for s in samples
    ]  # fmt: skip


def replay(samples: Sequence[Sample], config: Config, size: int = 500) -> Replay:
    played = Replay(config, config.route[0], "a", AT)
    rows = taken(samples)
    for start in range(0, len(rows), size):
        played.feed(rows[start : start + size])
    played.finish()
    return played


def truth(samples: Sequence[Sample], config: Config | None = None) -> tuple[RecordedIncident, ...]:
    config = config or settings()
    found = Truth(config, config.route[0])
    found.feed(taken(samples))
    return found.incidents((), AT + DAY_S)


def compared(samples: Sequence[Sample], config: Config) -> Column:
    return column(replay(samples, config), truth(samples), "a", AT, AT + DAY_S / 2)


@pytest.fixture(scope="module")
def history() -> list[Sample]:
    return canaries(DAY_S / 2, partial)


def test_normal_finds_the_partial_outage_in_minutes_and_no_blip(history: list[Sample]) -> None:
    found = compared(history, settings("normal"))
    assert [(turn.source, turn.target) for turn in found.turns] == [("a", "b"), ("b", "a")]
    away, home = found.turns
    assert AT + OUTAGE[0] + 10 <= away.at <= AT + OUTAGE[0] + 300
    assert "a breached availability" in away.reason
    # Recovered, and healthy for ten minutes, before it serves again.
    assert home.at >= AT + OUTAGE[1] + 600
    assert (found.found, found.false_flips) == (1, 0)


def test_a_rule_of_five_minutes_in_a_row_misses_it(history: list[Sample]) -> None:
    found = compared(history, settings("for-5m"))
    assert found.turns == ()
    assert (found.found, len(found.seen)) == (0, 1)
    assert found.served_s == found.stayed_s > 0.9 * HOUR_S


def test_other_dials_change_the_outcome(history: list[Sample]) -> None:
    normal = compared(history, settings("normal"))
    slow = compared(history, settings("normal", "route.chat.detector.evidence=40"))
    quick = compared(history, settings("normal", "route.chat.detector.evidence=6"))
    assert quick.turns[0].at < normal.turns[0].at < slow.turns[0].at


def test_bad_service_avoided_is_the_time_away_while_home_was_bad(history: list[Sample]) -> None:
    found = compared(history, settings("normal"))
    [incident] = truth(history)
    away_s = incident.end - found.turns[0].at
    assert found.avoided_s == pytest.approx(away_s)
    assert found.stayed_s == pytest.approx(incident.end - incident.start)
    assert found.served_s == pytest.approx(found.stayed_s - found.avoided_s)
    assert found.added_s == 0


def test_a_flip_onto_a_provider_that_fails_later_adds_bad_service() -> None:
    def both(name: str, at_s: float, chance: float) -> bool:
        if name == "b":
            return HOUR_S + 600 <= at_s < HOUR_S + 1_200
        return HOUR_S <= at_s < HOUR_S + 300

    samples = canaries(4 * HOUR_S, both)
    found = compared(samples, settings("normal"))
    assert found.turns[0].target == "b"
    assert 0 < found.added_s <= 600


def test_the_same_history_gives_the_same_whatever_the_batches(history: list[Sample]) -> None:
    whole = replay(history, settings("eager"), size=10**6)
    for size in (1, 97):
        parts = replay(history, settings("eager"), size)
        assert (parts.turns, parts.breaches) == (whole.turns, whole.breaches)


def test_canaries_kept_in_a_calm_are_judged_as_if_told_one_by_one(
    history: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replay(history, settings("normal"))
    # A limit that no canary passes: each is looked at by itself, and none is slow.
    long = replay(history, settings("normal", "route.chat.objectives.tokens_per_s={over=0.001}"))
    assert [(t.at, t.target) for t in short.turns] == [(t.at, t.target) for t in long.turns]
    for name in ("a", "b"):
        one, other = short.state.trackers[name], long.state.trackers[name]
        assert one.good_in_a_row == other.good_in_a_row
        assert one.evidence[0].detector.dump() == other.evidence[0].detector.dump()


def test_a_target_without_canaries_in_that_moment_is_unproven() -> None:
    """b was not recorded while a was out; the flag stays, and the wish is told."""
    samples = [
        s
        for s in canaries(8 * HOUR_S, partial)
        if s.provider == "a" or s.started_at < AT + 4 * HOUR_S
    ]
    played = replay(samples, settings("normal"))
    assert played.turns == []
    assert [(turn.source, turn.target) for turn in played.unproven][:1] == [("a", "")]
    assert "no candidate is fit" in played.unproven[0].reason
    assert AT + OUTAGE[0] <= played.unproven[0].at <= AT + OUTAGE[0] + 300


def test_a_proof_at_the_base_rate_is_marked(history: list[Sample]) -> None:
    """b was looked at every 30 s only; a daemon would have asked four times at once."""
    assert replay(history, settings("normal")).turns[0].recorded is False
    dense = sorted(
        [s for s in history if s.provider == "a"]
        + canaries(DAY_S / 2, lambda n, s, c: False, providers="b"),
        key=lambda s: s.started_at,
    )
    fast = [
        Sample(
            f"proof-{at_s}", "b", "local", "m", AT + at_s, at_s, Outcome.OK,
            dense[0].phases, dense[0].tokens, base_rate=False,
        )
        for at_s in range(int(OUTAGE[0]), int(OUTAGE[0]) + 600, 3)
    ]  # fmt: skip
    proven = sorted([*dense, *fast], key=lambda s: s.started_at)
    assert replay(proven, settings("normal")).turns[0].recorded is True


def test_after_a_silence_of_the_daemon_evidence_starts_clean() -> None:
    """Two halves of a streak, hours apart, are no streak."""

    def fails(name: str, at_s: float, chance: float) -> bool:
        return name == "a" and (3_590 <= at_s < 3_610 or 10_800 <= at_s < 10_820)

    whole = canaries(12_000, fails)
    silent = [s for s in whole if not 3_610 <= s.started_s < 10_800]
    played = replay(silent, settings("normal"))
    assert played.turns == []
    [gap] = played.gaps
    assert gap[1] - gap[0] == pytest.approx(10_800 - 3_610, abs=60)


def test_path_failures_count_only_where_another_provider_answered() -> None:
    def out(name: str, at_s: float, chance: float) -> bool:
        return HOUR_S <= at_s < HOUR_S + 600

    ours = canaries(2 * HOUR_S, out, outcome=Outcome.CONNECT)
    assert replay(ours, settings("normal")).turns == []
    assert truth(ours) == ()
    theirs = canaries(
        2 * HOUR_S, lambda n, s, c: n == "a" and out(n, s, c), outcome=Outcome.CONNECT
    )
    assert [turn.target for turn in replay(theirs, settings("normal")).turns][:1] == ["b"]
    assert [past.provider for past in truth(theirs)] == ["a"]


def test_a_route_that_only_observes_is_played_as_if_it_acted(history: list[Sample]) -> None:
    observing = settings("normal", "route.chat.mode=observe")
    acting = settings("normal")
    assert replay(history, observing).turns == replay(history, acting).turns


WINDOW = """
[[maintenance]]
name = "w"
provider = "a"
start = 2026-01-01T04:30:00Z
end = 2026-01-01T06:30:00Z
"""


def in_maintenance(more: str = "") -> Config:
    raw = tomllib.loads(configuration(Path(), "sqlite:///x") + WINDOW + more)
    return changed(raw, "chat", detector=None, sets=())


def test_what_was_recorded_within_a_muted_window_moves_nothing(history: Sequence[Sample]) -> None:
    """The daemon kept those canaries, and judged none of them."""
    assert compared(history, settings()).turns
    assert compared(history, in_maintenance()).turns == ()


def test_a_drain_in_a_replay_is_planned_and_so_no_false_flip(history: Sequence[Sample]) -> None:
    found = compared(history, in_maintenance('action = "drain"\n'))
    assert [(turn.source, turn.target) for turn in found.turns] == [("a", "b"), ("b", "a")]
    assert found.turns[0].kind == "planned"
    assert found.false_flips == 0


def test_what_went_wrong_within_a_window_is_no_incident_to_be_found(
    history: Sequence[Sample],
) -> None:
    assert [past.provider for past in truth(history)] == ["a"]
    assert truth(history, in_maintenance()) == ()
