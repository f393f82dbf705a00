"""Random faults over daemons, Redis, SQL and providers: whatever happens, one flag an epoch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from sqlalchemy import make_url

from prober.emulator import Emulator
from switch import AsyncReader
from switch.control.writer import FlagWriter, FlipUnknownError
from tests.faults import victim
from tests.faults.disorder import Fault, Schedule, schedule
from tests.faults.ledger import load
from tests.faults.scene import (
    KEYS,
    Daemons,
    application,
    daemons,
    epoch,
    notes,
    primary,
    recorded,
    try_by_hand,
    verdict,
)
from tests.support.servers import Postgres, Valkey
from tests.support.stage import Hook, write_config

NAMES = ("eu-1", "us-1", "ap-1")
APIS = {"a": "anthropic", "b": "openai"}
OTHER = {"a": "b", "b": "a"}
DOZEN = range(1, 13)
# As many flips as can be: they are what faults should meet.
QUICKER = {
    'min_span = "1s"': 'min_span = "200ms"',
    "[route.failover]": "[route.failover]\nmax_flips = 1000",
}
HASTY = {"deadline_ms": 1_500, "ttl_s": 3.0}
PATIENCE_S = 60.0
LEFT_WITHIN_S = 2.0
SOAK = int(os.environ.get("SOAK_SCHEDULES", "200"))


@dataclass
class World:
    """Everything that can break, and how it is broken and mended."""

    folder: Path
    valkey: Valkey
    postgresql: Postgres
    emulator: Emulator
    oncall: Hook
    made: Daemons
    database: str  # a URL
    configs: list[Path] = field(default_factory=list)
    backed_up: bool = False

    async def take(self, step: Fault) -> None:
        await asyncio.sleep(step.pause_s)
        match step.action:
            case "kill":
                config = self.configs[step.who]
                await self.made.kill(config)
                await asyncio.sleep(step.lasts_s)
                await self.made.start(config, die_at=step.point, **HASTY)
            case "freeze":
                await self.freeze(step)
            case "redis freezes":
                self.valkey.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(step.lasts_s)
                self.valkey.process.send_signal(signal.SIGCONT)
            case "redis crashes":
                await asyncio.to_thread(self.valkey.stop)
                await asyncio.sleep(step.lasts_s)
                await asyncio.to_thread(self.valkey.start)
            case "redis emptied":
                await asyncio.to_thread(self.valkey.stop)
                await asyncio.to_thread(self.valkey.start, empty=True)
            case "redis backed up":
                await asyncio.to_thread(self.valkey.back_up)
                self.backed_up = True
            case "redis restored" if self.backed_up:
                await asyncio.to_thread(self.valkey.stop)
                await asyncio.to_thread(self.valkey.restore)
            case "subscriptions cut":
                with self.valkey.client() as client:
                    client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            case "forged message":
                said = {"provider": "b", "epoch": 9 * 10**15, "decision_id": "forged"}
                with self.valkey.client() as client:
                    client.publish(KEYS.changed, json.dumps(said))
            case "sql cut":
                await self.cut_sql(step.lasts_s)
            case "operator moves":
                await self.move()
        await self.revive()

    def outage(self, failing: str | None) -> None:
        """From now on this one fails, and no other."""
        self.emulator.reset()
        self.emulator.set_faults(ttft_s=0.001)
        if failing:
            self.emulator.set_faults(api=APIS[failing], error_share=1.0, status=529)

    async def move(self) -> None:
        """To the other provider, as `prober failover --force` does, whatever comes between."""
        with notes(self.made.ledger) as book, contextlib.suppress(RedisError, FlipUnknownError):
            to = OTHER[primary(self.valkey) or "a"]
            await try_by_hand(self.valkey.url, to, victim.noting(FlagWriter.flip, book))

    async def freeze(self, step: Fault) -> None:
        config = self.configs[step.who]
        if self.made.running[config].is_alive():
            self.made.signal(config, signal.SIGSTOP)
            await asyncio.sleep(step.lasts_s)
            self.made.signal(config, signal.SIGCONT)

    async def cut_sql(self, lasts_s: float) -> None:
        name = make_url(self.database).database
        assert name is not None
        await asyncio.to_thread(self.postgresql.admit, name, False)
        await asyncio.sleep(lasts_s)
        await asyncio.to_thread(self.postgresql.admit, name, True)

    async def sees(self, happened: Callable[[], object], what: str) -> None:
        """Waits for something that any of the daemons may bring about."""
        end = time.monotonic() + PATIENCE_S
        while not happened():
            await self.revive()
            assert time.monotonic() < end, "\n".join([what, *map(log, self.configs)])
            await asyncio.sleep(0.02)

    async def left(self, fails: str) -> None:
        """Waits a moment for the flip that the faults were to meet; what broke may prevent it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEFT_WITHIN_S):
                while primary(self.valkey) == fails:
                    await self.revive()
                    await asyncio.sleep(0.02)

    async def answers(self, config: Path) -> None:
        """The daemon is up, and says so."""

        def ready() -> bool:
            process = self.made.running[config]
            said = [line["pid"] for line in load(self.made.ledger) if line["kind"] == "ready"]
            return process.is_alive() and process.pid in said

        await self.sees(ready, "ready")

    async def revive(self) -> None:
        """What killed itself is started again, as systemd would."""
        for config in self.configs:
            process = self.made.running.get(config)
            if process is not None and not process.is_alive():
                assert process.exitcode == -9, log(config)
                await self.made.start(config, **HASTY)


def log(config: Path) -> str:
    return config.with_suffix(".log").read_text("utf-8", "replace")[-4000:]


async def play(world: World, plan: Schedule) -> None:
    """Runs a schedule, mends everything, breaks the primary once more and sees it left."""
    valkey, ledger = world.valkey, world.made.ledger
    world.configs = [config(world, plan, who) for who in range(plan.daemons)]
    async with application(valkey.url, ledger) as reader:
        for path in world.configs:
            await world.made.start(path, **HASTY)
        await world.sees(lambda: agree(valkey, reader), "the first flag")
        for faults in plan.rounds:
            fails = reader.primary("chat")
            world.outage(fails)
            for fault in faults:
                await world.take(fault)
            await world.left(fails)
        world.outage(None)
        await world.sees(lambda: agree(valkey, reader), "the application knows the flag")
        last = reader.primary("chat")
        world.outage(last)
        await world.sees(lambda: primary(valkey) == OTHER[last], f"{last} is left")
        await world.sees(lambda: agree(valkey, reader), "the application knows the last flag")
        await world.sees(lambda: untold(ledger, world.oncall) == [], "every flip is told")
        for path in world.configs:
            await world.answers(path)
            if await world.made.stop(path) != 0:  # the last flip may have been its last deed
                await world.made.start(path, **HASTY)
                await world.answers(path)
                assert await world.made.stop(path) == 0, log(path)


def untold(ledger: Path, oncall: Hook) -> list[str]:
    """Flips by themselves, in any journal, of which nobody has heard. (Titles name no decision.)

    A flip that got no answer from a Redis that was emptied then may have been seen by others; what
    is told is that nobody knows its fate.
    """
    lines = load(ledger)
    unresolved = {line["decision"] for line in lines if line["kind"] == "unresolved"}
    flips = {
        line["decision"]: ("message", f"the flip to {line['provider']} got no answer")
        if line["decision"] in unresolved
        else ("title", f"{line['leaves']} → {line['provider']}")
        for line in lines
        if line["kind"] == "done" and line["op"] == "auto"
    }
    return [
        f"{words}: {times} flips"
        for (part, words), times in Counter(flips.values()).items()
        if sum(words in one[part] for one in oncall.letters) < times
    ]


def agree(valkey: Valkey, reader: AsyncReader) -> bool:
    """Redis has a flag, and the application goes by it."""
    said = reader.flag("chat")
    return said.epoch == epoch(valkey) > 0 and said.provider == primary(valkey)


def config(world: World, plan: Schedule, who: int) -> Path:
    home = world.folder / NAMES[who]
    home.mkdir()
    path = write_config(
        home / "prober.toml",
        emulator=world.emulator.url,
        redis=world.valkey.url,
        database="env",
        daemon=f'vantage = "{NAMES[who]}"\nvantages = {json.dumps(NAMES[: plan.daemons])}',
        healthy_for="500ms",
    )
    text = path.read_text("utf-8")
    for slow, fast in QUICKER.items():
        assert slow in text
        text = text.replace(slow, fast)
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
async def world(
    tmp_path: Path,
    own_valkey: Valkey,
    postgresql: Postgres,
    emulator: Emulator,
    oncall: Hook,
    database: str,
) -> AsyncIterator[World]:
    async with daemons(tmp_path / "ledger") as made:
        yield World(tmp_path, own_valkey, postgresql, emulator, oncall, made, database)


async def ends_well(world: World, seed: int, rounds: int) -> None:
    plan = schedule(seed, rounds)
    print(plan)  # noqa: T201  pytest shows it when it fails
    await play(world, plan)
    flips = await asyncio.to_thread(recorded, world.database)
    assert verdict(world.made.ledger, world.valkey, flips) == []


@pytest.mark.parametrize("seed", DOZEN)
async def test_a_random_schedule_of_faults_ends_well(seed: int, world: World) -> None:
    await ends_well(world, seed, rounds=1)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SOAK))
async def test_any_random_schedule_of_faults_ends_well(number: int, world: World) -> None:
    await ends_well(world, random.SystemRandom().randrange(2**32), rounds=6)
