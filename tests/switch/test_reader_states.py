"""States that must not be followed, and servers that go away."""

from __future__ import annotations

import asyncio

import pytest
from reader_stage import FAR, SOON_S, Make, know
from redis.exceptions import RedisError
from servers import Valkey
from switch_redis import KEYS, Desk, eventually

from switch import Source

# -- states that must not be followed ----------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"epoch": "many"}, {"provider": "B!"}, {"provider": b"\xff"}, {"mode": "x"}]
)
async def test_a_malformed_state_is_not_followed(
    make: Make, desk: Desk, valkey: Valkey, change: dict[str, str | bytes]
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    state = await desk.client.hgetall(KEYS.state)
    await desk.client.hset(
        KEYS.state, mapping={"provider": "b", "epoch": answer.epoch + 1} | change
    )
    await reader.read_once()
    assert reader.primary("chat") == "a"
    await desk.client.hset(KEYS.state, mapping=state)
    await desk.flip("c")
    await reader.serves("c")
    await reader.told(("chat", "default", "a"), ("chat", "a", "c"))


async def test_a_state_of_another_type_is_not_followed(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    answer = await desk.seed("a")
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(answer.epoch)
    await desk.client.delete(KEYS.state)
    await desk.client.sadd(KEYS.state, "stray")
    with pytest.raises(RedisError):
        await reader.read_once()
    assert reader.primary("chat") == "a"
    await desk.client.delete(KEYS.state)
    await desk.seed("b")
    await reader.serves("b")


async def test_a_lower_epoch_is_not_followed(make: Make, desk: Desk, valkey: Valkey) -> None:
    await desk.seed("a", floor=FAR)
    reader = make(valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(FAR + 1)
    await desk.client.delete(KEYS.state, KEYS.events)
    answer = await desk.seed("b")
    assert answer.epoch < FAR
    await reader.read_once()
    assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", FAR + 1)
    await desk.flip("c", floor=FAR + 1)
    await reader.serves("c")


async def test_a_name_this_build_does_not_support_is_not_served(
    make: Make, desk: Desk, valkey: Valkey
) -> None:
    told: list[tuple[str, str]] = []
    await desk.seed("a")
    await know(desk, "a", "b", "c")
    reader = make(
        valkey.url,
        supported={"chat": ["a", "b"]},
        poll_s=SOON_S,
        on_unsupported=lambda *said: told.append(said),
    )
    await reader.serves("a")
    answer = await desk.flip("c")
    await reader.confirms(answer.epoch)
    assert (reader.primary("chat"), reader.flag("chat").provider) == ("a", "a")
    await eventually(lambda: told == [("chat", "c")])
    await desk.flip("b")
    await reader.serves("b")
    await reader.told(("chat", "", "a"), ("chat", "a", "b"))
    assert told == [("chat", "c")]


async def test_callbacks_that_raise_break_nothing(
    make: Make, desk: Desk, valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    def burst(*_: str) -> None:
        raise RuntimeError("the application's own fault")

    await desk.seed("a")
    reader = make(
        valkey.url,
        supported={"chat": ["a", "b"]},
        poll_s=SOON_S,
        on_change=burst,
        on_unsupported=burst,
    )
    await reader.serves("a")
    answer = await desk.flip("c")
    await reader.confirms(answer.epoch)
    await desk.flip("b")
    await reader.serves("b")
    await eventually(lambda: len(caplog.records) >= 3)
    assert {record.getMessage() for record in caplog.records} == {
        "a callback of the flag reader failed"
    }


# -- servers that go ---------------------------------------------------------------------------


async def test_a_dead_server_and_an_emptied_one_leave_the_last_known(
    make: Make, own_valkey: Valkey, own_desk: Desk
) -> None:
    first = await own_desk.seed("a")
    reader = make(own_valkey.url, {"chat": "default"}, poll_s=SOON_S)
    await reader.confirms(first.epoch)
    await asyncio.to_thread(own_valkey.stop)
    await eventually(lambda: reader.flag("chat").stale)
    assert (reader.primary("chat"), reader.flag("chat").source) == ("a", Source.CACHED)
    await asyncio.to_thread(own_valkey.start, empty=True)
    assert await own_desk.client.keys("*") == []
    await eventually(lambda: not reader.flag("chat").stale)
    assert (reader.primary("chat"), reader.flag("chat").epoch) == ("a", first.epoch)
    await own_desk.ready()
    await own_desk.seed("b", floor=first.epoch)
    await reader.serves("b")
    await reader.told(("chat", "default", "a"), ("chat", "a", "b"))


async def test_a_reader_built_before_its_server_finds_it(
    make: Make, own_valkey: Valkey, own_desk: Desk
) -> None:
    await own_desk.client.config_set("appendfsync", "always")  # or the crash may lose the seed
    await own_desk.seed("a")
    await asyncio.to_thread(own_valkey.stop)
    reader = make(own_valkey.url, {"chat": "default"})
    assert not await reader.wait_ready(0.01)
    assert reader.primary("chat") == "default"
    await asyncio.to_thread(own_valkey.start)
    assert await own_desk.client.exists(KEYS.state)
    assert await reader.wait_ready(20)
    assert reader.primary("chat") == "a"
