"""What a simulated daemon recorded, replayed by its own settings, gives its own flips again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prober.history.store.queries import Taken
from prober.sample import Sample
from prober.simulation.backtest.replay import Replay
from prober.simulation.simulate.engine import Engine
from prober.simulation.simulate.scenario import configured, parse
from prober.simulation.simulate.virtual_provider import EPOCH_S, VirtualProvider

SCENARIO = {
    "seed": 5,
    "duration_s": 66_000,
    "providers": {
        "a": {"error_rate": 0.01, "blips": {"per_month": 60}},
        "b": {"error_rate": 0.002},
    },
    "incidents": [
        {"provider": "a", "start_s": 8_000, "end_s": 10_000, "error_rate": 0.3},
        {"provider": "a", "start_s": 24_000, "end_s": 26_000},
        {"provider": "b", "start_s": 25_000, "end_s": 25_900},
        {"provider": "a", "start_s": 40_000, "end_s": 41_000, "hang": True},
        {"provider": "a", "start_s": 54_000, "end_s": 56_000, "outcome": "connect"},
    ],
}


def test_a_replay_by_the_settings_in_force_gives_the_flips_there_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: list[Sample] = []
    draw = VirtualProvider.draw

    def draw_and_keep(self: VirtualProvider, *said: Any) -> Sample:
        sample = draw(self, *said)
        recorded.append(sample)
        return sample

    monkeypatch.setattr(VirtualProvider, "draw", draw_and_keep)
    scenario = parse(json.dumps(SCENARIO))
    config = configured(scenario, Path())
    course = Engine(scenario, config, every_second=True).run()
    replay = Replay(config, config.route[0], "a", float(EPOCH_S))
    replay.feed(
        [
            Taken(
                s.id, s.provider, s.started_at, s.outcome.value, s.phases.first_byte_s,
                s.phases.first_text_s, s.phases.total_s, s.tokens.output, None, s.base_rate,
                s.detail,
            )
            for s in sorted(recorded, key=lambda s: s.started_at)
        ]
    )  # fmt: skip
    replay.finish()
    there_were = [move for move in course.moves if move.source]
    assert len(there_were) >= 8
    assert [(t.source, t.target, t.kind) for t in replay.turns] == [
        (move.source, move.target, move.kind) for move in there_were
    ]
    for turn, move in zip(replay.turns, there_were, strict=True):
        # A replay decides when a canary ends; a daemon each second, and it proves at once.
        slack_s = 35 if move.kind == "failback" else 2
        assert turn.at - EPOCH_S == pytest.approx(move.at_s, abs=slack_s)
