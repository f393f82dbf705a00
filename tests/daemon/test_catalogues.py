"""Models that go away, as a whole daemon sees them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prober.daemon.daemon import Daemon
from prober.daemon.operator_api import OperatorApi
from prober.emulator import Emulator
from prober.probing import model_watch
from prober.probing.network import Network
from prober.probing.plans import Plan
from prober.providers.model_list import Listing
from switch.flag import Health
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config


@pytest.fixture
def config(
    tmp_path: Path,
    valkey: Valkey,
    emulator: Emulator,
    oncall: Hook,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setattr("prober.probing.model_watch.FIRST_S", 0.2)
    monkeypatch.setattr("prober.probing.model_watch.APART_S", 0.1)
    monkeypatch.setattr("prober.daemon.housekeeping.MODELS_EVERY_S", 0.1)
    return write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)


def looked(daemon: Daemon) -> bool:
    return all(daemon.catalogues.found(name) for name in ("a", "b"))


def on_models(oncall: Hook) -> list[str]:
    return [title for title in oncall.titles if "claude-test" in title or "gpt-test" in title]


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


async def test_a_model_with_an_end_is_told_once_over_restarts_and_stands_in_status(
    config: Path, emulator: Emulator, oncall: Hook
) -> None:
    day = in_days(90)
    emulator.set_faults(api="anthropic", ttft_s=0.001, retires=day)
    emulator.set_faults(api="openai", model="gpt-test", ttft_s=0.001)
    async with running(config) as daemon:
        await until(lambda: looked(daemon) and on_models(oncall))
        status = await OperatorApi(daemon).status({})
        by_name = {p["name"]: p for p in status["routes"][0]["providers"]}
        sentence = f"claude-test is deprecated and retires on {day}"
        assert by_name["a"]["model"]["warning"] == sentence
        assert by_name["a"]["model"]["retires"] == day
        assert by_name["b"]["model"]["warning"] == ""
        assert json.dumps(status)
    letter = next(x for x in oncall.letters if "claude-test" in x["title"])
    assert "That is in 90 days." in letter["message"]
    assert re.search(r"It (serves|stands by for) chat", letter["message"])
    assert "prober probe a" in letter["message"]
    async with running(config) as daemon:
        await until(lambda: daemon.catalogues.found("a"), "known from before")
        await until(lambda: daemon.judge.states["chat"].trackers["a"].good_in_a_row >= 8)
        assert len(on_models(oncall)) == 1


async def test_a_model_missing_from_the_list_is_told_and_moves_nothing(
    config: Path, valkey: Valkey, oncall: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(plan: Plan, network: Network, scrub: object) -> Listing:
        return Listing(plan.provider != "a")

    monkeypatch.setattr(model_watch, "read", gone)
    async with running(config) as daemon:
        await until(lambda: on_models(oncall))
        assert on_models(oncall) == ["🟠 a: claude-test is not in the provider's list of models"]
        tracker = daemon.judge.states["chat"].trackers["a"]
        good = tracker.good_in_a_row
        await until(lambda: tracker.good_in_a_row >= good + 8)
        assert tracker.health(daemon.clock.mono())[0] is Health.OK
        assert daemon.judge.states["chat"].primary == "a"


async def test_a_reload_with_another_model_looks_at_that_one(
    config: Path, emulator: Emulator, oncall: Hook
) -> None:
    async with running(config) as daemon:
        await until(lambda: looked(daemon))
        day = in_days(400)
        emulator.set_faults(api="anthropic", model="claude-new", ttft_s=0.001, retires=day)
        config.write_text(config.read_text().replace("claude-test", "claude-new"))
        assert await daemon.reload()
        await until(lambda: any(f"claude-new is deprecated and retires on {day}" in title
                                for title in oncall.titles))  # fmt: skip


async def test_an_unreadable_list_is_silence_and_touches_no_health(
    config: Path, emulator: Emulator, oncall: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    real = model_watch.read

    async def counted(plan: Plan, network: Network, scrub: Callable[[str], str]) -> Listing:
        asked.append(plan.provider)
        return await real(plan, network, scrub)

    monkeypatch.setattr(model_watch, "read", counted)
    monkeypatch.setattr(model_watch, "MAX_BYTES", 5)
    monkeypatch.setattr(model_watch, "AGAIN_S", 0.05)
    async with running(config) as daemon:
        await until(lambda: len(asked) >= 6)
        trackers = daemon.judge.states["chat"].trackers
        await until(lambda: all(t.good_in_a_row >= 4 for t in trackers.values()))
        now_s = daemon.clock.mono()
        assert {t.health(now_s)[0] for t in trackers.values()} == {Health.OK}
        assert daemon.catalogues.found("a") is None
    assert oncall.titles == [title for title in oncall.titles if "first flag set" in title]
