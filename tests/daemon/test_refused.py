"""What an endpoint answered before decides what its refusal means, through the whole daemon."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prober.daemon.daemon import Daemon
from prober.emulator import Emulator
from prober.history.store import queries
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

# A refusal that no table knows.
UNKNOWN: dict[str, Any] = {"error_share": 1.0, "status": 413}
MISCONFIGURED = "The canary for b is misconfigured"
ANSWERED = "The canary for b is answered"


def get(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


def told(oncall: Hook, words: str) -> list[str]:
    return [one["message"] for one in oncall.letters if words in one["title"]]


async def outcomes(daemon: Daemon, provider: str) -> set[str]:
    assert await asyncio.to_thread(daemon.store.wait_written, 10)
    samples = await asyncio.to_thread(queries.samples, daemon.store.engine, limit=1000)
    return {sample["outcome"] for sample in samples if sample["provider"] == provider}


async def test_a_provider_that_answered_and_then_refuses_is_left_and_quoted(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon:
        await until(lambda: get(valkey) == "a")
        emulator.set_faults(api="anthropic", **UNKNOWN)
        await until(lambda: get(valkey) == "b", "the refusals count")
        await until(lambda: told(oncall, "failed over"), "its alert")
        message = told(oncall, "failed over")[0]
        assert "refused what it answered before: HTTP 413" in message
        assert "Request exceeds the maximum size" in message
        found = await outcomes(daemon, "a")
        assert found >= {"ok", "refused"}
        assert "bad_request" not in found
    async with running(path) as daemon:
        seen = daemon.judge.states["chat"].trackers["a"]
        await until(lambda: seen.last is not None and seen.last.outcome == "refused", "a restart")
    assert not told(oncall, "misconfigured")


async def test_one_that_never_answered_is_a_misconfigured_canary_and_its_end_is_told(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    """Told once, however long it lasts and whatever restarts; and once when it is mended."""
    emulator.set_faults(api="openai", **UNKNOWN)
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path):
        await until(lambda: told(oncall, MISCONFIGURED), "the alert")
    async with running(path) as daemon:
        seen = daemon.judge.states["chat"].trackers["b"]
        await until(lambda: seen.last is not None, "a canary of b after the restart")
        assert await outcomes(daemon, "b") == {"bad_request"}
        assert not told(oncall, ANSWERED)
        emulator.set_faults(api="openai", ttft_s=0.001)
        await until(lambda: told(oncall, ANSWERED), "the all-clear")
        assert get(valkey) == "a"
    assert len(told(oncall, MISCONFIGURED)) == len(told(oncall, ANSWERED)) == 1
