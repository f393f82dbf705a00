"""What detectors know, across a restart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from prober.config.loader import parse
from prober.daemon import detector_state
from prober.detection.tracker import Tracker
from prober.failover.memory import Memory
from prober.failover.route_state import RouteState
from prober.sample import Outcome
from switch.control.lease import Lease
from tests.support.values import sample

CONFIG = parse(
    """
[[provider]]
name = "a"
api = "ollama"
model = "m"
[[route]]
name = "chat"
candidates = ["a"]
"""
)


def state() -> RouteState:
    route = CONFIG.find_route("chat")
    assert route is not None
    return RouteState(CONFIG, route, cast(Lease, None), Memory())


def breached() -> RouteState:
    known = state()
    for number in range(6):
        known.trackers["a"].ended(sample(Outcome.OVERLOADED, 6.0 * number))
        known.trackers["a"].ended(sample(at_s=6.0 * number + 3))
    assert known.trackers["a"].breach.latched
    return known


def restarted(
    folder: Path, *, after_s: float, known: RouteState | None = None
) -> tuple[bool, Tracker]:
    """Saved at 100 s, then a new process `after_s` later."""
    path = folder / "detectors.json"
    detector_state.save(path, detector_state.dump([known or breached()], 100.0))
    new = state()
    fresh = detector_state.load(detector_state.read(path), [new], 100.0 + after_s)
    return fresh, new.trackers["a"]


@pytest.mark.parametrize("after_s", [0, 45])
def test_soon_after_on_the_same_boot_all_is_believed(tmp_path: Path, after_s: float) -> None:
    fresh, tracker = restarted(tmp_path, after_s=after_s)
    assert fresh
    assert tracker.dump() == breached().trackers["a"].dump()


@pytest.mark.parametrize("after_s", [45.1, 3600, -1])
def test_after_a_gap_only_what_was_learned_is_believed(tmp_path: Path, after_s: float) -> None:
    fresh, tracker = restarted(tmp_path, after_s=after_s)
    assert not fresh
    _only_learned(tracker)


def _only_learned(tracker: Tracker) -> None:
    known = breached().trackers["a"]
    assert (tracker.breach.latched, tracker.level, tracker.breach.score) == (frozenset(), 0, 0)
    assert (tracker.latency_s, tracker.quality) == (known.latency_s, known.quality)
    learned = tracker.dump()["evidence"]["availability"]["detector"]["learned"]
    assert learned == known.dump()["evidence"]["availability"]["detector"]["learned"]


@pytest.mark.parametrize(("then", "now"), [("one", "two"), ("one", ""), ("", "")])
def test_on_another_boot_only_what_was_learned_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, now: str
) -> None:
    path = tmp_path / "detectors.json"
    monkeypatch.setattr(detector_state, "boot_id", lambda: then)
    detector_state.save(path, detector_state.dump([breached()], 100.0))
    monkeypatch.setattr(detector_state, "boot_id", lambda: now)
    new = state()
    assert not detector_state.load(detector_state.read(path), [new], 101.0)
    _only_learned(new.trackers["a"])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 99, "routes": {}}'])
def test_a_file_that_cannot_be_believed_is_no_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "detectors.json"
    path.write_text(text)
    assert detector_state.read(path) == {}
    new = state()
    assert not detector_state.load(detector_state.read(path), [new], 0)
    assert new.trackers["a"].last is None


def test_without_a_file_the_start_is_clean(tmp_path: Path) -> None:
    assert detector_state.read(tmp_path / "not-there") == {}


@pytest.mark.parametrize(
    "routes",
    [
        {"other": {}},
        {"chat": {"other": {}}},
    ],
)
def test_what_is_about_others_is_left_alone(routes: dict[str, object]) -> None:
    new = state()
    assert detector_state.load({"same_boot": True, "now_s": 0, "routes": routes}, [new], 1)
    assert new.trackers["a"].level == 0


@pytest.mark.parametrize("part", ["evidence", "latched", "latency_s", "relapses"])
def test_a_torn_record_is_a_clean_start_and_not_half_of_one(part: str) -> None:
    saved = json.loads(json.dumps(detector_state.dump([breached()], 100.0)))
    del saved["routes"]["chat"]["a"][part]
    new = state()
    assert not detector_state.load({**saved, "same_boot": True}, [new], 101.0)
    tracker = new.trackers["a"]
    assert tracker.breach.latched == frozenset()
    assert (tracker.level, tracker.health(101)[0]) == (0, "unknown")


@pytest.mark.parametrize(
    "routes", [[], {"chat": []}, {"chat": {"a": []}}, {"chat": {"a": {"evidence": 1}}}]
)
def test_a_record_of_another_shape_is_a_clean_start(routes: object) -> None:
    saved = {"same_boot": True, "now_s": 100.0, "routes": routes}
    assert not detector_state.load(saved, [state()], 101.0)


def test_this_machine_has_a_boot() -> None:
    here = Path("/proc/sys/kernel/random/boot_id")
    assert detector_state.boot_id() == (here.read_text().strip() if here.exists() else "")


def test_a_machine_without_boot_ids_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Path, encoding: str | None = None) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", gone)
    assert detector_state.boot_id() == ""
