"""What would lose the flag is said, and nothing else is."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from redis.asyncio import Redis

from prober.daemon.redis_durability import RedisDurability, dangers
from switch.connect import connect_async
from tests.support.servers import Valkey

KEEPS = {"maxmemory": 0, "maxmemory_policy": "noeviction", "aof_enabled": 1, "connected_slaves": 0}


@pytest.mark.parametrize(
    ("said", "save", "what"),
    [
        ({"maxmemory": 1 << 20, "maxmemory_policy": "allkeys-lru"}, "", "evict the flag"),
        ({"aof_enabled": 0}, "", "keeps nothing on disk"),
        ({"connected_slaves": 2}, "", "min-replicas-to-write 1"),
    ],
)
def test_each_danger_is_told(said: dict[str, Any], save: str, what: str) -> None:
    (found,) = dangers(KEEPS | said, save)
    assert what in found


@pytest.mark.parametrize(
    ("said", "save"),
    [
        ({}, ""),
        ({"maxmemory_policy": "allkeys-lru"}, ""),  # without a limit nothing is evicted
        ({"maxmemory": 1 << 20, "maxmemory_policy": "volatile-lru"}, ""),  # the flag has no TTL
        ({"aof_enabled": 0}, "3600 1"),
        ({"aof_enabled": 0}, None),  # not ours to ask
        ({"connected_slaves": 2, "min_slaves_good_slaves": 2}, ""),
    ],
)
def test_what_keeps_the_flag_is_not_complained_of(said: dict[str, Any], save: str | None) -> None:
    assert dangers(KEEPS | said, save) == []


async def test_a_real_server_is_asked_and_told_of_once(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    client: Redis = connect_async(own_valkey.url)
    keeping = RedisDurability(client)
    assert await keeping.look()
    assert keeping.found == []
    await client.config_set("appendonly", "no")
    await client.config_set("maxmemory", "100mb")
    await client.config_set("maxmemory-policy", "allkeys-lru")
    with caplog.at_level(logging.WARNING):
        assert await keeping.look()
        assert await keeping.look()
    assert len(keeping.found) == len(caplog.records) == 2
    await client.execute_command("ACL", "SETUSER", "default", "-config")
    assert await keeping.look()
    assert [danger[:19] for danger in keeping.found] == ["Redis may evict the"]
    own_valkey.stop()
    assert not await keeping.look()
    await client.aclose()
