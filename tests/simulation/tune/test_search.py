"""The grid, the frontier, and the row that is recommended."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from prober.config.loader import parse
from prober.config.schema import Config, DetectorSettings
from prober.config.types import DetectorKind
from prober.history.store.queries import Taken
from prober.simulation.backtest.truth import Announced, RecordedIncident
from prober.simulation.simulate.scenario import Blips, Generated
from prober.simulation.tune.profile import Profile, Recorder
from prober.simulation.tune.search import (
    OUTAGES,
    Setting,
    SettingCost,
    frontier,
    jobs,
    nearest_preset,
    poisson_interval,
    recommended,
    rows_of,
    settings,
    work,
)
from tests.support.histories import AT, canaries, configuration


def config(more: str = "") -> Config:
    return parse(configuration(Path(), "sqlite:///x", more), other_tools=True)


def row(false: int, seconds: float, *names: str, evidence: float = 9.0) -> SettingCost:
    detector = DetectorSettings(
        kind=DetectorKind(names[0]) if names else DetectorKind.FRESH, evidence=evidence
    )
    setting = Setting(detector, names)
    return SettingCost(
        setting, false, 10.0, dict.fromkeys(OUTAGES, seconds), dict.fromkeys(OUTAGES, 0.0)
    )


def test_the_interval_is_the_exact_one_of_a_poisson_mean() -> None:
    """Garwood's table: 0 → 3.69; 1 → 0.0253 to 5.57; 10 → 4.80 to 18.39."""
    assert poisson_interval(0) == pytest.approx((0.0, 3.689), abs=1e-3)
    assert poisson_interval(1) == pytest.approx((0.0253, 5.572), abs=1e-3)
    assert poisson_interval(10) == pytest.approx((4.795, 18.39), abs=1e-2)
    low, high = poisson_interval(2_000)
    assert low == pytest.approx(2_000 - 1.96 * 2_000**0.5, rel=0.01)
    assert high == pytest.approx(2_000 + 1.96 * 2_000**0.5, rel=0.01)


def test_the_frontier_leaves_out_what_another_beats_in_both() -> None:
    calm, middle, beaten, quick = row(0, 200), row(2, 150), row(3, 160), row(9, 100)
    assert frontier([beaten, quick, calm, middle]) == [calm, middle, quick]


def test_recommended_is_the_soonest_that_is_surely_calm_enough() -> None:
    # Ten provider-years: 3 is 0.88 a year at the most, 9 is 1.7.
    calm, sure, unsure = row(0, 200), row(3, 150), row(9, 100)
    assert recommended([calm, sure, unsure], 1.0) is sure
    assert recommended([calm, sure, unsure], 2.0) is unsure
    assert recommended([calm, sure, unsure], 0.1) is calm


def test_what_is_in_force_stays_unless_something_is_clearly_sooner() -> None:
    stays = SettingCost(
        Setting(DetectorSettings(), ("in force",)), 0, 10.0,
        dict.fromkeys(OUTAGES, 102.0), dict.fromkeys(OUTAGES, 0.0),
    )  # fmt: skip
    assert recommended([row(0, 100), stays], 1.0) is stays
    sooner = row(0, 90)
    assert recommended([sooner, stays], 1.0) is sooner


def test_the_nearest_preset_is_the_one_that_behaves_alike() -> None:
    presets = [row(0, 200, "calm"), row(1, 150, "normal"), row(30, 100, "eager")]
    assert nearest_preset(row(1, 155), presets) == "normal"
    assert nearest_preset(row(28, 98), presets) == "eager"


def test_every_row_says_lines_that_give_its_very_detector() -> None:
    base = config("[route.detector]\nlearn = false\nflip_bad_share = 0.2\nevidence = 12.5\n")
    [route] = base.route
    rows = settings(route)
    assert {name for setting in rows for name in setting.names} == {
        "calm", "normal", "eager", "in force",
    }  # fmt: skip
    for setting in rows:
        read = parse(configuration(Path(), "sqlite:///x", setting.toml)).route[0]
        plain = route.model_copy(update={"detector": setting.detector})
        assert read.detector.kind is plain.detector.kind
        assert tomllib.loads(setting.toml)["route"]["detector"]["learn"] is False
        if read.detector.kind is not DetectorKind.CALM:
            assert read.detector == plain.detector


def test_no_row_is_tried_whose_share_is_too_near_what_is_allowed() -> None:
    loose = config("[route.objectives]\navailability = 0.94\n")
    shares = {s.detector.flip_bad_share for s in settings(loose.route[0])}
    assert shares == {None, 0.15, 0.25}


def profile(rate: float) -> Profile:
    return Profile("a", 9_999, True, Generated(error_rate=rate, blips=Blips(per_month=20)))


@pytest.mark.parametrize("kind", ["fresh", "for-5m"])
def test_the_same_work_gives_the_same_figures(kind: str) -> None:
    base = config(f'[route.detector]\nkind = "{kind}"\n')
    [route] = base.route
    grid = settings(route)

    def figures() -> list[SettingCost]:
        todo = jobs(base, route, grid, [profile(0.01)], 0.02, 20)
        return rows_of(route, grid, [work(job) for job in todo])

    first = figures()
    assert first == figures()
    assert len(first) == len(grid)
    [now] = [r for r in first if "in force" in r.setting.names]
    if kind == "for-5m":
        assert now.missed[0.3] == 1.0
        assert now.detected_s[0.3] == OUTAGES[0.3]
    else:
        assert now.missed[0.3] == 0.0
        assert now.detected_s[1.0] < now.detected_s[0.3] < now.detected_s[0.1]


def test_more_evidence_is_calmer_and_later() -> None:
    base = config()
    [route] = base.route
    grid = [
        Setting(DetectorSettings(evidence=e, min_span=timedelta(seconds=90)))
        for e in (7.0, 9.0, 11.0)
    ]
    todo = jobs(base, route, grid, [profile(0.01)], 0.2, 60)
    rows = rows_of(route, grid, [work(job) for job in todo])
    assert rows[0].false > rows[1].false >= rows[2].false
    assert rows[0].detected_s[0.3] < rows[1].detected_s[0.3] < rows[2].detected_s[0.3]


def recorded(
    length_s: float, rate: float, outage: bool, more: str = ""
) -> tuple[Recorder, list[RecordedIncident]]:
    def fails(name: str, at_s: float, chance: float) -> bool:
        return chance < (0.5 if outage and 40_000 <= at_s < 80_000 else rate)

    by = config(more)
    recorder = Recorder(Announced(by, by.route[0]))
    recorder.feed(
        [
            Taken(s.id, s.provider, s.started_at, s.outcome.value, 0.2, s.phases.first_text_s,
                  s.phases.total_s, 8, None, s.base_rate, "")
            for s in canaries(length_s, fails, providers="a")
        ]
    )  # fmt: skip
    return recorder, [RecordedIncident("a", AT + 40_000, AT + 80_000, "measured")] if outage else []


def test_noise_and_latency_are_those_of_ordinary_days() -> None:
    quiet, _ = recorded(400_000, 0.01, outage=False)
    stormy, past = recorded(400_000, 0.01, outage=True)
    for found in (quiet.profile("a", []), stormy.profile("a", past)):
        assert found.recorded
        assert found.generated.error_rate == pytest.approx(0.01, abs=0.003)
        # Uniform between 0.5 and 0.7 s.
        assert found.generated.ttft_median_s == pytest.approx(0.6, rel=0.02)
        assert found.generated.ttft_sigma == pytest.approx(0.115, abs=0.02)
    assert stormy.profile("a", []).generated.error_rate > 0.02


WINDOW = """
[[maintenance]]
name = "w"
provider = "a"
start = 2026-01-01T11:00:00Z
end = 2026-01-01T22:30:00Z
"""


def test_what_fails_within_a_maintenance_window_is_no_noise() -> None:
    found, _ = recorded(400_000, 0.01, outage=True, more=WINDOW)
    assert found.profile("a", []).generated.error_rate == pytest.approx(0.01, abs=0.003)


def test_half_a_day_is_too_little_to_go_by() -> None:
    recorder, _ = recorded(40_000, 0.01, outage=False)
    assert not recorder.profile("a", []).recorded
