"""Three daemon processes on one Redis and one PostgreSQL, and which of them leads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from prober.emulator import Emulator
from switch.control.votes import claim_of, decode_votes
from tests.faults.scene import KEYS, Daemons
from tests.support.servers import Valkey
from tests.support.stage import until, write_config

NAMES = ("ap-1", "eu-1", "us-1")
# As short as the rule of leases allows, nearly: nobody waits a quarter of a minute here.
TTL_S = 2.5


def configured(folder: Path, emulator: Emulator, redis: Mapping[str, str]) -> dict[str, Path]:
    """A configuration for each vantage in a folder of its own. `redis`: its URL, by vantage."""
    found = {}
    for name in NAMES:
        (folder / name).mkdir()
        found[name] = write_config(
            folder / name / "prober.toml",
            emulator=emulator.url,
            redis=redis[name],
            database="env",
            daemon=f'vantage = "{name}"\nvantages = {json.dumps(NAMES)}',
            failback="manual",
        )
    return found


async def all_vote(made: Daemons, paths: Mapping[str, Path], valkey: Valkey, **odd: object) -> None:
    """Starts them and waits until the flag stands and one of them leads."""
    for path in paths.values():
        await made.start(path, ttl_s=TTL_S, **odd)
    await until(lambda: voters(valkey) == set(NAMES), "all vote", 60)
    await until(lambda: leader(valkey), "one leads, and has set the first flag", 60)


def voters(valkey: Valkey) -> set[str]:
    with valkey.client() as client:
        return {vote.vantage for vote in decode_votes(client.hgetall(KEYS.votes))}


def leader(valkey: Valkey) -> str:
    """Whose lease stands, of those that vote; empty while nobody's does, or there is no flag."""
    with valkey.client() as client:
        claim = claim_of(client.get(KEYS.lease))
        votes = decode_votes(client.hgetall(KEYS.votes))
        if not claim or not client.exists(KEYS.state):
            return ""
    return next((vote.vantage for vote in votes if vote.claim == claim), "")


def others(name: str) -> tuple[str, ...]:
    return tuple(one for one in NAMES if one != name)
