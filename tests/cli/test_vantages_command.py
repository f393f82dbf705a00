"""`prober vantages`: who votes, who leads, what each of them sees."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from prober.emulator import Emulator
from prober.failover.voting import routing_hash, settings_of
from switch.control.votes import Sight, Vote, decode_votes, encode_vote
from switch.flag import Health
from tests.support.servers import Valkey
from tests.support.stage import Hook, running, until, write_config

from .conftest import Prober

VOTES = "prober:{chat}:votes"
THREE = 'vantage = "eu-1"\nvantages = ["eu-1", "us-1", "ap-1"]'


def config(folder: Path, emulator: Emulator, valkey: Valkey, **said: str) -> Path:
    path = folder / "prober.toml"
    return write_config(path, emulator=emulator.url, redis=valkey.url, **said)


async def test_it_shows_votes_hashes_and_the_leader_and_leaves_with_0_on_a_quorum(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    async with running(config(tmp_path, emulator, valkey, daemon=THREE)) as daemon:
        state = daemon.judge.states["chat"]
        routing = routing_hash(daemon.config, state.route)

        def votes() -> dict[str, Vote]:
            with valkey.client() as client:
                return {vote.vantage: vote for vote in decode_votes(client.hgetall(VOTES))}

        await until(lambda: state.leased and "eu-1" in votes(), "it leads and has voted")
        assert votes()["eu-1"].routing == routing
        alone = await prober("vantages")
        assert alone.exit_code == 1
        assert "1 of 3 vote, 2 needed: no flag moves" in alone.output
        assert alone.output.count("has not voted") == 2

        with valkey.client() as client:
            now_ms = client.time()[0] * 1000
            sights = {name: Sight(Health.OK) for name in "ab"}
            # From a clock that is ahead by less than a vote's life, so that it stays fresh.
            fresh = Vote("us-1", now_ms + 3_000, routing, sights)
            told = settings_of(daemon.config, state.route)
            moved = {**told, "b": {**told["b"], "base_url": "elsewhere"}}
            other = Vote("ap-1", now_ms + 3_000, "another", sights, settings=moved)
            fresh = replace(fresh, settings=told)
            gone = Vote("old-1", now_ms - 60_000, routing, blind="no [network]")
            for vote in (fresh, other, gone):
                client.hset(VOTES, vote.vantage, encode_vote(vote))
        said = await prober("vantages", "--json")
        assert said.exit_code == 0, said.output
        (route,) = json.loads(said.stdout)["routes"]
        assert (route["leader"], route["quorum"]) == ("eu-1", True)
        assert route["groups"] == {routing: ["eu-1", "us-1"], "another": ["ap-1"]}
        assert [row["counts"] for row in route["vantages"]] == [True, True, True, False]
        assert route["vantages"][0]["sees"]["a"]["health"] in ("ok", "unknown")
        shown = (await prober("vantages")).output
        assert "led by eu-1" in shown
        assert "leads; a " in shown
        assert "another: other `base_url` of b than in this file" in shown
        assert "ap-1 has another `base_url` of b than eu-1 and us-1" in shown
        assert "blind: no [network]" in shown
        assert "no longer counts" in shown
        assert "not in [daemon].vantages" in shown


async def test_one_daemon_decides_alone_and_votes_nowhere(
    tmp_path: Path, valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    async with running(config(tmp_path, emulator, valkey)) as daemon:
        await until(lambda: daemon.judge.states["chat"].primary == "a")
        with valkey.client() as client:
            assert not client.exists(VOTES)
        said = await prober("vantages")
        assert (said.exit_code, "One daemon decides alone" in said.output) == (0, True)
        assert json.loads((await prober("vantages", "--json")).stdout)["routes"] == []


async def test_a_redis_that_is_away_is_said(
    tmp_path: Path, own_valkey: Valkey, emulator: Emulator, oncall: Hook, prober: Prober
) -> None:
    config(tmp_path, emulator, own_valkey, daemon=THREE)
    own_valkey.stop()
    said = await prober("vantages")
    assert said.exit_code == 1
    assert "chat: Redis: " in said.output
