"""A whole judge on a real Valkey: its clock is moved by hand, its alerts and rows are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis.asyncio

from prober.alerts.event import Letter
from prober.alerts.outbox import Outbox
from prober.clock import Clock
from prober.config import loader
from prober.config.schema import Alert
from prober.config.secrets import SecretRef
from prober.failover.executor import Executor
from prober.failover.judge import Judge
from prober.failover.memory import Memory
from prober.failover.notifier import Notifier
from prober.failover.route_state import RouteState
from prober.history.incidents import Incidents
from prober.history.journal import Journal, Record, decode
from prober.sample import Outcome
from switch.control.lease import Ballot, Lease
from switch.control.writer import FlagWriter, Observed
from switch.flag import Flag, Keys
from tests.support.values import Rows, sample

KEYS = Keys("chat")
CONFIG = """
[canary]
daily_budget_usd = 10.0

[[provider]]
name = "a"
api = "anthropic"
model = "m"
base_url = "http://127.0.0.1:9"
residency = ["eu"]
price = { input = 1.0, output = 2.0 }

[[provider]]
name = "b"
api = "openai"
model = "m"
base_url = "http://127.0.0.1:9"
residency = ["eu"]
price = { input = 1.5, output = 3.0 }

[[provider]]
name = "far"
api = "openai"
model = "m"
base_url = "http://127.0.0.1:9"
residency = ["us"]

[[route]]
name = "chat"
candidates = ["a", "b", "far"]
residency = ["eu"]

[route.detector]
kind = "consecutive"
count = 1
"""


class Hands(Clock):
    """A clock moved by hand; `wall_s` moves people's time alone."""

    def __init__(self) -> None:
        self.at_s = 1000.0
        self.wall_s = 1_700_000_000.0

    def mono(self) -> float:
        return self.at_s

    def now(self) -> float:
        return self.wall_s + self.at_s


@dataclass
class Bench:
    """A judge with everything around it."""

    judge: Judge
    state: RouteState
    executor: Executor
    notifier: Notifier
    clock: Hands
    client: redis.asyncio.Redis
    journal: Journal
    rows: Rows
    letters: list[Letter]

    async def records(self, kind: str) -> list[Record]:
        """What the journal's disk has of a kind."""
        data = await asyncio.to_thread(self.journal.path.read_bytes)
        return [record for record in decode(data)[0] if record["kind"] == kind]

    async def seen(self) -> Observed:
        return await self.executor.writer.observe(KEYS, events=1000)

    async def flag(self) -> Flag:
        found = (await self.seen()).flag
        assert found is not None
        return found

    def found(self, provider: str, outcome: Outcome = Outcome.OK, count: int = 1) -> None:
        """Canaries of a provider that end one after the other, the last of them just now."""
        for number in range(count):
            at_s = self.clock.at_s - 2.0 * (count - number)
            self.judge.ended(replace(sample(outcome, at_s), provider=provider))

    def titles(self, words: str) -> list[str]:
        return [item.event.title for item in self.letters if words in item.event.title]

    async def told(self, words: str) -> str:
        """The one alert whose title has these words."""
        end = asyncio.get_running_loop().time() + 20
        while not self.titles(words):
            assert asyncio.get_running_loop().time() < end, [i.event.title for i in self.letters]
            await asyncio.sleep(0.005)
        (title,) = self.titles(words)
        return title

    async def dump(self) -> dict[str, bytes]:
        """What Redis holds of the flag, without the lease."""
        raw = redis.asyncio.Redis(connection_pool=_raw(self.client))
        keys = [key for key in await self.client.keys("*") if key != KEYS.lease]
        found = {key: await raw.dump(key) for key in keys}
        await raw.aclose(close_connection_pool=True)
        return found

    async def put_back(self, dumped: dict[str, bytes]) -> None:
        """An older state of Redis, as after a failover or out of a backup."""
        raw = redis.asyncio.Redis(connection_pool=_raw(self.client))
        for key in await self.client.keys("prober:{chat}:*"):
            if key != KEYS.lease:
                await raw.delete(key)
        for key, value in dumped.items():
            await raw.restore(key, 0, value)
        await raw.aclose(close_connection_pool=True)


def _raw(client: redis.asyncio.Redis) -> redis.asyncio.ConnectionPool:
    pool = client.connection_pool
    said: dict[str, Any] = {**pool.connection_kwargs, "decode_responses": False}
    return redis.asyncio.ConnectionPool(connection_class=pool.connection_class, **said)


@asynccontextmanager
async def bench(
    folder: Path,
    client: redis.asyncio.Redis,
    *,
    text: str = CONFIG,
    memory: Memory | None = None,
    ballot: Ballot | None = None,
) -> AsyncIterator[Bench]:
    config = await asyncio.to_thread(loader.parse, text)
    clock, journal, rows = Hands(), Journal(folder / "journal"), Rows()
    await asyncio.to_thread(journal.load)
    letters: list[Letter] = []

    async def taken(item: Letter) -> str:
        letters.append(item)
        return ""

    oncall = Alert(name="oncall", url=SecretRef(env="X"))
    outbox = Outbox([oncall], taken, journal, rows.store, clock, "v")
    incidents = Incidents(journal, rows.store)
    notifier = Notifier(config, outbox, incidents, clock)
    lease = Lease(client, KEYS, 15)
    state = RouteState(config, config.route[0], lease, memory or Memory())
    executor = Executor(FlagWriter(client), journal, rows.store)
    judge = Judge(config, [state], executor, incidents, notifier, clock, ballot)
    outbox.start()
    yield Bench(judge, state, executor, notifier, clock, client, journal, rows, letters)
    await outbox.close()
    await asyncio.to_thread(journal.close)
