"""The whole daemon on real servers: probing, judging, flipping, telling, recovering."""

from __future__ import annotations

import asyncio
from pathlib import Path

from prober.emulator import Emulator
from prober.history.store import queries
from switch import AsyncReader
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config


def primary(valkey: Valkey) -> str | None:
    with valkey.client() as client:
        found: str | None = client.get("prober:{chat}:primary")
        return found


async def test_a_half_failing_primary_is_left_and_taken_again(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook
) -> None:
    path = write_config(tmp_path / "prober.toml", emulator=emulator.url, redis=valkey.url)
    async with running(path) as daemon, AsyncReader(valkey.url, {"chat": "b"}) as reader:
        await until(lambda: primary(valkey) == "a", "the first proven candidate is seeded")
        await until(lambda: reader.primary("chat") == "a", "the reader follows")
        emulator.set_faults(api="anthropic", error_share=0.5, status=529, even=True)
        await until(lambda: primary(valkey) == "b", "the flag moves")
        await until(lambda: reader.primary("chat") == "b", "the reader follows")
        await until(lambda: any("failed over: a → b" in t for t in oncall.titles), "the alert")
        emulator.set_faults(api="anthropic", ttft_s=0.001)
        await until(lambda: primary(valkey) == "a", "it fails back")
        await until(lambda: any("failed back: b → a" in t for t in oncall.titles), "the alert")
        await asyncio.to_thread(daemon.store.wait_written, 5)
        flips = await asyncio.to_thread(queries.flips, daemon.store.engine)
        assert [(f["op"], f["to_provider"]) for f in reversed(flips)] == [
            ("seed", "a"),
            ("auto", "b"),
            ("auto", "a"),
        ]
        assert "canaries failed" in flips[1]["reason"]
        incidents = await asyncio.to_thread(queries.incidents, daemon.store.engine)
        assert len(incidents) == 1
        assert incidents[0]["closed_at"] is not None
